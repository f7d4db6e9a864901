/* rows.c - a recipient as Optimove sends it into the event that rules see (optimove-api 4.1, 4.4).
 * Read where it stands and written as flat nodes: a campaign has millions of them.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "optimove/internal.h"
#include "optimove/nodes.h"

/* Keys of a row whose spelling rules can rely on; the rest keeps Optimove's. */
enum known {
  KEY_CUSTOMER = 0,
  KEY_ACTION,
  KEY_TEMPLATE,
  KEY_TEMPLATE_NAME,
  KEY_SCHEDULE,
  KEY_SCHEDULED,
  KEY_PROMO_CODE,
  KEY_SEND,
  KEY_ATTRIBUTES, /* in two spellings; they become `attributes` */
  KEY_ATTRIBUTE,
  KEY_EVENT_TYPE, /* these three are the run's to say */
  KEY_CAMPAIGN,
  KEY_CHANNEL,
  KEYS_COUNT,
};

static const struct nm_text known_keys[KEYS_COUNT] = {
  { "CustomerID", 10 },         { "ActionID", 8 },           { "TemplateID", 10 },
  { "TemplateName", 12 },       { "ScheduleTime", 12 },      { "ScheduledTime", 13 },
  { "PromoCode", 9 },           { "SendID", 6 },             { "CustomerAttributes", 18 },
  { "CustomerAttribute", 17 },  { "EventTypeID", 11 },       { "CampaignID", 10 },
  { "ChannelID", 9 },
};

static enum known known_key(struct nm_text key)
{
  int i = 0;
  while (i < KEYS_COUNT &&
         (key.len != known_keys[i].len || !nm_text_equal_nocase(key, known_keys[i])))
    i++;
  return (enum known)i;
}

/* What a row says. */
struct row {
  struct nm_json_tape tape;
  const struct nm_json_node *known[KEYS_COUNT]; /* NULL = it does not say; as it should be spelled
                                                 * where it stands in two ways */
};

static bool is_id(const struct nm_json_node *node, int64_t *out)
{
  if (!node) return false;
  if (node->kind == NM_JSON_INTEGER) {
    *out = node->integer;
    return true;
  }
  return node->kind == NM_JSON_TEXT && nm_text_to_i64(node->text, out);
}

static size_t count_pieces(struct nm_text text, char at)
{
  size_t pieces = 1;
  for (size_t i = 0; i < text.len; i++) pieces += text.ptr[i] == at;
  return pieces;
}

/* Every member's value; known ones are also kept aside. */
static void look(struct row *row)
{
  const struct nm_json_node *nodes = row->tape.nodes;
  size_t at = 1;
  for (uint32_t i = 0; i < nodes[0].count; i++) {
    enum known known = known_key(nodes[at].text);
    const struct nm_json_node *value = &nodes[at + 1];
    if (known < KEYS_COUNT && value->kind != NM_JSON_NULL &&
        (!row->known[known] || nm_text_equal(nodes[at].text, known_keys[known])))
      row->known[known] = value;
    at = nm_nodes_behind(nodes, at + 1);
  }
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Null, and historically the text NULL, mean that there is no value. */
static bool is_absent(const struct nm_json_node *node)
{
  return node->kind == NM_JSON_NULL ||
         (node->kind == NM_JSON_TEXT && nm_text_equal(node->text, NM_TEXT("NULL")));
}

/* The old form: one delimited string (4.2). */
static int attributes_of_text(struct nm_nodes *out, struct nm_text text,
                              const struct nm_tenant_connector *connector, struct nm_error *err)
{
  char at = count_pieces(text, ';') == connector->param_count ? ';' : ',';
  if (count_pieces(text, at) != connector->param_count)
    return nm_fail(err, NM_EINVAL, "has another number of attributes than the %zu asked for",
                   connector->param_count);
  for (size_t i = 0; i < connector->param_count; i++) {
    struct nm_text piece;
    nm_text_cut(text, at, &piece, &text);
    if (piece.len > 0 && !nm_text_equal(piece, NM_TEXT("NULL")))
      nm_nodes_member_text(out, connector->params[i].name, piece);
  }
  return NM_OK;
}

/* Asked and answered must match one to one: a silent shift would give people each other's names. */
static int attributes_of_list(struct nm_nodes *out, const struct row *row,
                              const struct nm_json_node *list,
                              const struct nm_tenant_connector *connector, struct nm_error *err)
{
  size_t at = (size_t)(list - row->tape.nodes) + 1;
  if (list->count != connector->param_count)
    return nm_fail(err, NM_EINVAL, "has %u attributes, %zu were asked for", (unsigned)list->count,
                   connector->param_count);
  for (size_t i = 0; i < connector->param_count; i++) {
    if (!is_absent(&row->tape.nodes[at]))
      nm_nodes_member(out, connector->params[i].name, row->tape.nodes, at);
    at = nm_nodes_behind(row->tape.nodes, at);
  }
  return NM_OK;
}

static int add_attributes(struct nm_nodes *out, const struct row *row,
                          const struct nm_tenant_connector *connector, struct nm_error *err)
{
  const struct nm_json_node *given = row->known[KEY_ATTRIBUTES];
  int rc = NM_OK;
  if (!given) given = row->known[KEY_ATTRIBUTE];
  nm_nodes_key(out, NM_TEXT("attributes"));
  size_t self = nm_nodes_open(out, NM_JSON_OBJECT);
  if (given && !is_absent(given) && connector->param_count > 0) {
    if (given->kind == NM_JSON_ARRAY) rc = attributes_of_list(out, row, given, connector, err);
    else if (given->kind == NM_JSON_TEXT)
      rc = attributes_of_text(out, given->text, connector, err);
    else rc = nm_fail(err, NM_EINVAL, "has attributes that are no list");
  }
  nm_nodes_close(out, self);
  return rc;
}

/* ---- the event ------------------------------------------------------------------------------- */

/* "B1, B2" into ["B1","B2"]. */
static void add_promo_codes(struct nm_nodes *out, const struct row *row)
{
  const struct nm_json_node *codes = row->known[KEY_PROMO_CODE];
  if (!codes) return;
  if (codes->kind == NM_JSON_ARRAY) {
    nm_nodes_member(out, NM_TEXT("PromoCode"), row->tape.nodes, (size_t)(codes - row->tape.nodes));
    return;
  }
  struct nm_text left = codes->kind == NM_JSON_TEXT ? codes->text : NM_TEXT("");
  nm_nodes_key(out, NM_TEXT("PromoCode"));
  size_t self = nm_nodes_open(out, NM_JSON_ARRAY);
  while (left.len > 0) {
    struct nm_text code;
    nm_text_cut(left, ',', &code, &left);
    code = nm_text_trim(code);
    if (code.len > 0) nm_nodes_text(out, code);
  }
  nm_nodes_close(out, self);
}

/* Members that rules see as they came: those without a meaning here, and the plain known ones. */
static void add_plain(struct nm_nodes *out, const struct row *row, bool has_template)
{
  const struct nm_json_node *nodes = row->tape.nodes;
  size_t at = 1;
  for (uint32_t i = 0; i < nodes[0].count; i++) {
    enum known known = known_key(nodes[at].text);
    const struct nm_json_node *value = &nodes[at + 1];
    bool is_plain = known == KEYS_COUNT;
    if (known == KEY_ACTION || (known >= KEY_TEMPLATE_NAME && known <= KEY_SCHEDULED) ||
        known == KEY_SEND || (known == KEY_TEMPLATE && !has_template))
      is_plain = row->known[known] == value;
    if (is_plain && value->kind != NM_JSON_NULL &&
        !nm_text_equal(nodes[at].text, NM_TEXT("attributes")))
      nm_nodes_member(out, known < KEYS_COUNT ? known_keys[known] : nodes[at].text, nodes, at + 1);
    at = nm_nodes_behind(nodes, at + 1);
  }
}

static int write_event(struct nm_nodes *out, const struct row *row,
                       const struct nm_recipient *found,
                       const struct nm_optimove_execution *execution, struct nm_error *err)
{
  size_t self = nm_nodes_open(out, NM_JSON_OBJECT);
  add_plain(out, row, found->template_id > 0);
  add_promo_codes(out, row);
  nm_nodes_member_text(out, known_keys[KEY_CUSTOMER], found->customer);
  nm_nodes_member_text(out, known_keys[KEY_CAMPAIGN], execution->campaign);
  nm_nodes_member_integer(out, known_keys[KEY_EVENT_TYPE], 13);
  nm_nodes_member_integer(out, known_keys[KEY_CHANNEL], execution->channel_id);
  if (found->template_id > 0)
    nm_nodes_member_integer(out, known_keys[KEY_TEMPLATE], found->template_id);
  int rc = add_attributes(out, row, &execution->tenant->connector, err);
  nm_nodes_close(out, self);
  return rc;
}

/* Room for everything: what is there, what we add, and the pieces of what is cut. */
static size_t nodes_max(const struct row *row, const struct nm_tenant_connector *connector)
{
  const struct nm_json_node *codes = row->known[KEY_PROMO_CODE];
  size_t pieces = codes && codes->kind == NM_JSON_TEXT ? count_pieces(codes->text, ',') : 0;
  return row->tape.count + 2 * connector->param_count + pieces + 24;
}

static struct nm_text customer_of(const struct nm_json_node *node, struct nm_arena *arena)
{
  if (node && node->kind == NM_JSON_TEXT) return nm_text_trim(node->text);
  if (!node || node->kind != NM_JSON_INTEGER) return (struct nm_text){ NULL, 0 };
  return nm_arena_printf(arena, "%" PRId64, node->integer);
}

static int64_t due_of(const struct row *row, const struct nm_tenant *tenant)
{
  const struct nm_json_node *node = row->known[KEY_SCHEDULE];
  int64_t due_ms = 0;
  if (!node) node = row->known[KEY_SCHEDULED];
  bool is_read = node && node->kind == NM_JSON_TEXT &&
                 nm_zone_read(tenant->connector.zone, node->text, &due_ms);
  return is_read ? due_ms : 0;
}

int nm_optimove_read_row(struct nm_text text, const struct nm_optimove_execution *execution,
                         struct nm_arena *arena, struct nm_recipient *out, struct nm_error *err)
{
  struct row row = { .known = { NULL } };
  struct nm_nodes nodes;
  struct nm_recipient found = { 0 };
  int64_t action = 0;

  int rc = nm_nodes_read(&row.tape, text, arena, err);
  if (rc) return rc;
  look(&row);
  found.customer = customer_of(row.known[KEY_CUSTOMER], arena);
  if (row.known[KEY_CUSTOMER] && row.known[KEY_CUSTOMER]->kind == NM_JSON_INTEGER &&
      !found.customer.ptr)
    return nm_fail(err, NM_ENOMEM, "out of memory");
  if (found.customer.len == 0) return nm_fail(err, NM_EINVAL, "has no CustomerID");
  if (!is_id(row.known[KEY_TEMPLATE], &found.template_id)) found.template_id = 0;
  found.is_control_group = is_id(row.known[KEY_ACTION], &action) && action == 1;
  found.due_at_ms = due_of(&row, execution->tenant);
  if (!nm_nodes_init(&nodes, arena, nodes_max(&row, &execution->tenant->connector)))
    return nm_fail(err, NM_ENOMEM, "out of memory");
  rc = write_event(&nodes, &row, &found, execution, err);
  if (rc) return rc;
  found.event = nodes.items;
  *out = found;
  return NM_OK;
}
