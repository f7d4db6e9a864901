/* links: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "check.h"

#include "net/guard.h"

static struct nm_error err;

static bool allows_port(const struct nm_guard *guard, const char *text, int port)
{
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address = { .v6 = { 0 } };
  if (strchr(text, ':')) {
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons((unsigned short)port);
    assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
  } else {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons((unsigned short)port);
    assert_int_equal(inet_pton(AF_INET, text, &address.v4.sin_addr), 1);
  }
  err.text[0] = 0;
  return nm_guard_check_address(guard, &address.any, &err) == NM_OK;
}

static bool allows(const struct nm_guard *guard, const char *text)
{
  return allows_port(guard, text, 443);
}

static void refuses_every_special_range_at_both_edges(void **state)
{
  (void)state;
  static const char *const refused[] = {
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::",
    "fdff:ffff::1",
    "fd12:3456::1",
    "fe80::",
    "fe80::1",
    "febf:ffff::1",
    "fec0::1",
    "ff00::",
    "ff02::1",
    "ffff::1",
    "2001:db8::1",
    "2001::1",
    "100::1",
    "64:ff9b:1::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:192.168.1.1",
    "::ffff:0.0.0.0",
    "::10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:101::1",
    "2002:a9fe:a9fe::1",
    "2002:e000:1::",
    "2002:808:808::1",
    "192.88.99.0",
    "192.88.99.255",
    "::8.8.8.8",
    "::1:8.8.8.8",
    "1::",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::",
    "5f00::1",
    "64:ff9b:0:0:0:1::",
    "64:ff9b:1:808:8:800::",
    "64:ff9b:2::1",
    "101::1",
    "2001::",
    "2001:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "3fff::1",
    "3fff:fff::1",
    "fe00::1",
    "fe7f::1",
    "fbff:ffff::1",
    "::ffff:0:127.0.0.1",
  };
  struct nm_guard guard;
  assert_int_equal(nm_guard_init(&guard, NULL, 0, &err), NM_OK);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (allows(&guard, refused[i])) fail_msg("%s was allowed", refused[i]);
  nm_guard_deinit(&guard);
}

static void allows_their_neighbours(void **state)
{
  (void)state;
  static const char *const allowed[] = {
    "1.0.0.0",          "9.255.255.255",   "11.0.0.0",        "100.63.255.255", "100.128.0.0",
    "126.255.255.255",  "128.0.0.0",       "169.253.255.255", "169.255.0.0",    "172.15.255.255",
    "172.32.0.0",       "191.255.255.255", "192.0.1.0",       "192.0.3.0",      "192.88.98.255",
    "192.88.100.0",     "192.167.255.255", "192.169.0.0",     "198.17.255.255", "198.20.0.0",
    "198.51.99.255",    "198.51.101.0",    "203.0.112.255",   "203.0.114.0",    "223.255.255.255",
    "8.8.8.8",          "2000::1",         "2001:200::",      "2001:db7::1",    "2001:db9::1",
    "2003::1",          "2606:4700::1111", "2a00:1450::1",    "3ffe:ffff::1",   "3fff:1000::1",
    "::ffff:8.8.8.8",   "64:ff9b::8.8.8.8",
  };
  struct nm_guard guard;
  assert_int_equal(nm_guard_init(&guard, NULL, 0, &err), NM_OK);
  for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
    if (!allows(&guard, allowed[i])) fail_msg("%s was refused", allowed[i]);
  nm_guard_deinit(&guard);
}

static void what_the_settings_allow_passes_and_nothing_else(void **state)
{
  (void)state;
  const struct nm_text ranges[] = { NM_TEXT("127.0.0.0/8"), NM_TEXT(" 10.1.2.3 "),
                                    NM_TEXT("fd00::/13"), NM_TEXT("192.168.4.0/22") };
  struct nm_guard guard;
  assert_int_equal(nm_guard_init(&guard, ranges, 4, &err), NM_OK);
  assert_true(allows(&guard, "127.0.0.1"));
  assert_true(allows(&guard, "::ffff:127.0.0.1"));
  assert_true(allows(&guard, "10.1.2.3"));
  assert_false(allows(&guard, "10.1.2.4"));
  assert_true(allows(&guard, "fd07::1"));
  assert_false(allows(&guard, "fd08::1"));
  assert_true(allows(&guard, "192.168.7.255"));
  assert_false(allows(&guard, "192.168.8.0"));
  assert_false(allows(&guard, "192.168.3.255"));
  assert_false(allows(&guard, "::1"));
  nm_guard_deinit(&guard);
}

static void a_range_of_no_bits_allows_all_of_its_family(void **state)
{
  (void)state;
  const struct nm_text all = NM_TEXT("0.0.0.0/0");
  struct nm_guard guard;
  assert_int_equal(nm_guard_init(&guard, &all, 1, &err), NM_OK);
  assert_true(allows(&guard, "10.0.0.1"));
  assert_true(allows(&guard, "64:ff9b::10.0.0.1"));
  assert_false(allows(&guard, "fe80::1"));
  nm_guard_deinit(&guard);
}

static void names_a_range_that_is_none(void **state)
{
  (void)state;
  static const char *const wrong[] = {
    "",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "10.0.0.0/08",
    "10.0.0.0/+8",
    "10.0.0.0/8 8",
    "10.0.0.0/8/8",
    "10.0.0.0/0000000008",
    "10.0.0/8",
    "010.0.0.0/8",
    "0x0a.0.0.0/8",
    "10/8",
    "167772160/8",
    "localhost",
    "[::1]",
    "[::1]/128",
    "::1/129",
    "fe80::1%lo",
    "fe80::%lo/64",
    "10.0.0.0/8x",
    "/8",
    "/",
    "*",
    "10.0.0.0-10.0.0.9",
    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
    /* bits behind the prefix: is it 10.0.0.0/8, or 10.0.0.1? */
    "10.0.0.1/8",
    "192.168.4.0/21",
    "127.0.0.1/0",
    "fd00::1/8",
    "fe80::/8",
    "::1/127",
    /* v4 is written as v4 */
    "::ffff:10.0.0.0/104",
    "::ffff:127.0.0.1",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct nm_text text = nm_text_from(wrong[i]);
    struct nm_guard guard;
    if (nm_guard_init(&guard, &text, 1, &err) != NM_EINVAL) fail_msg("\"%s\" was taken", wrong[i]);
    assert_non_null(strstr(err.text, wrong[i]));
    assert_int_equal(nm_guard_check_range(text, NULL), NM_EINVAL);
  }
  struct nm_text nul = { "10.0.0.1\0", 9 };
  assert_int_equal(nm_guard_check_range(nul, NULL), NM_EINVAL);
}

static void takes_ranges_as_they_are_written(void **state)
{
  (void)state;
  static const char *const right[] = { "10.0.0.0/8",  "10.0.0.1",    "10.0.0.1/32", "0.0.0.0/0",
                                       "::/0",        "::1",         "fd00::/8",    "fe80::/10",
                                       "192.168.4.0/22", " 127.0.0.0/8\t", "64:ff9b::/96",
                                       "FD00:AB::/32" };
  for (size_t i = 0; i < sizeof right / sizeof *right; i++)
    if (nm_guard_check_range(nm_text_from(right[i]), &err)) fail_msg("%s", err.text);
}

/* What an HTTP request could do harm to is not called, wherever on the internet it is. */
static void refuses_ports_of_other_protocols(void **state)
{
  (void)state;
  static const int foreign[] = { 1,    21,   22,   23,   25,   53,    110,   143,   389,  445,
                                 465,  587,  993,  1433, 2049, 2775,  3306,  5060,  5432, 6379,
                                 6667, 6000, 636,  873,  3389, 10080, 11211, 27017 };
  static const int fine[] = { 80, 81, 443, 444, 1024, 3000, 8000, 8080, 8443, 9588, 65535 };
  const struct nm_text range = NM_TEXT("10.0.0.0/8");
  struct nm_guard guard;
  assert_int_equal(nm_guard_init(&guard, &range, 1, &err), NM_OK);
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    if (allows_port(&guard, "8.8.8.8", foreign[i])) fail_msg("port %d was allowed", foreign[i]);
    assert_non_null(strstr(err.text, "another protocol"));
    assert_non_null(strstr(err.text, "8.8.8.8"));
    assert_false(allows_port(&guard, "2606:4700::1111", foreign[i]));
    assert_false(allows_port(&guard, "::ffff:8.8.8.8", foreign[i]));
    assert_true(allows_port(&guard, "10.1.1.1", foreign[i])); /* who names it knows it */
  }
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
    if (!allows_port(&guard, "8.8.8.8", fine[i])) fail_msg("port %d was refused", fine[i]);
  nm_guard_deinit(&guard);
}

static void says_which_address_it_refuses_and_what_would_have_to_be_done(void **state)
{
  (void)state;
  assert_false(allows(&nm_guard_public, "64:ff9b::169.254.169.254"));
  assert_int_equal(err.code, NM_EDENIED);
  assert_non_null(strstr(err.text, "64:ff9b::a9fe:a9fe"));
  assert_non_null(strstr(err.text, "outbound.allow"));
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static void reads_a_url_into_its_parts(void **state)
{
  (void)state;
  static const struct {
    const char *url, *host, *path;
    int port;
    bool is_https, is_v6, is_literal;
  } cases[] = {
    { "http://a", "a", "", 80, false, false, false },
    { "https://api5.optimove.net", "api5.optimove.net", "", 443, true, false, false },
    { "HTTPS://API5.Optimove.NET/", "API5.Optimove.NET", "/", 443, true, false, false },
    { "https://h:8443/rest/3.0/x?a=b&c=d:8/@", "h", "/rest/3.0/x?a=b&c=d:8/@", 8443, true, false,
      false },
    { "http://h?q@x", "h", "?q@x", 80, false, false, false },
    { "http://xn--bcher-kva.example", "xn--bcher-kva.example", "", 80, false, false, false },
    { "http://a_b.example./x", "a_b.example.", "/x", 80, false, false, false },
    { "http://7eleven.example", "7eleven.example", "", 80, false, false, false },
    { "http://1.2.3.example", "1.2.3.example", "", 80, false, false, false },
    { "http://0x7f.example", "0x7f.example", "", 80, false, false, false },
    { "http://x0x7f", "x0x7f", "", 80, false, false, false },
    { "http://8.8.8.8:1", "8.8.8.8", "", 1, false, false, true },
    { "http://[2606:4700::1111]/", "2606:4700::1111", "/", 80, false, true, true },
    { "https://[::FFFF:8.8.8.8]:65535", "::FFFF:8.8.8.8", "", 65535, true, true, true },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nm_guard_url url;
    if (nm_guard_read_url(nm_text_from(cases[i].url), &url, &err))
      fail_msg("%s: %s", cases[i].url, err.text);
    assert_text(url.host, cases[i].host);
    assert_text(url.path, cases[i].path);
    assert_int_equal(url.port, cases[i].port);
    assert_int_equal(url.is_https, cases[i].is_https);
    assert_int_equal(url.is_v6, cases[i].is_v6);
    assert_int_equal(url.is_literal, cases[i].is_literal);
  }
}

static void a_host_may_be_as_long_as_names_are(void **state)
{
  (void)state;
  char label[65], url[600];
  memset(label, 'a', 64);
  label[64] = 0;
  snprintf(url, sizeof url, "http://%.63s.%.63s.%.63s.%.61s", label, label, label, label);
  assert_int_equal(nm_guard_check_url(NULL, nm_text_from(url), &err), NM_OK);
  snprintf(url, sizeof url, "http://%.63s.%.63s.%.63s.%.61s.", label, label, label, label);
  assert_int_equal(nm_guard_check_url(NULL, nm_text_from(url), &err), NM_OK);
  snprintf(url, sizeof url, "http://%.63s.%.63s.%.63s.%.62s", label, label, label, label);
  assert_int_equal(nm_guard_check_url(NULL, nm_text_from(url), &err), NM_EINVAL);
  assert_string_equal(err.text, "the URL's host is longer than 253 bytes");
  snprintf(url, sizeof url, "http://%s", label);
  assert_int_equal(nm_guard_check_url(NULL, nm_text_from(url), &err), NM_EINVAL);
}

static void a_literal_address_is_judged_at_once_and_a_name_when_it_is_called(void **state)
{
  (void)state;
  static const struct {
    const char *url;
    int syntax, open, allowed; /* without a guard; with one; with one that allows 127.0.0.0/8 */
  } cases[] = {
    { "http://127.0.0.1:25/", NM_OK, NM_EDENIED, NM_OK },
    { "http://[::ffff:127.0.0.1]:81/", NM_OK, NM_EDENIED, NM_OK },
    { "http://[::1]/", NM_OK, NM_EDENIED, NM_EDENIED },
    { "http://8.8.8.8:25/", NM_OK, NM_EDENIED, NM_EDENIED },
    { "http://8.8.8.8:8443/", NM_OK, NM_OK, NM_OK },
    { "http://localhost/", NM_OK, NM_OK, NM_OK },
    { "http://mail.example:25/", NM_OK, NM_EDENIED, NM_OK }, /* may stand for an allowed address */
    { "http://u@127.0.0.1/", NM_EINVAL, NM_EINVAL, NM_EINVAL },
  };
  const struct nm_text range = NM_TEXT("127.0.0.0/8");
  struct nm_guard guard;
  assert_int_equal(nm_guard_init(&guard, &range, 1, &err), NM_OK);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct nm_text url = nm_text_from(cases[i].url);
    if (nm_guard_check_url(NULL, url, &err) != cases[i].syntax ||
        nm_guard_check_url(&nm_guard_public, url, &err) != cases[i].open ||
        nm_guard_check_url(&guard, url, &err) != cases[i].allowed)
      fail_msg("%s: %s", cases[i].url, err.text);
  }
  nm_guard_deinit(&guard);
}

static void refuses_families_it_does_not_know(void **state)
{
  (void)state;
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const struct sockaddr *any = (const struct sockaddr *)&address;
  assert_int_equal(nm_guard_check_address(&nm_guard_public, any, &err), NM_EDENIED);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_every_special_range_at_both_edges),
    cmocka_unit_test(allows_their_neighbours),
    cmocka_unit_test(what_the_settings_allow_passes_and_nothing_else),
    cmocka_unit_test(a_range_of_no_bits_allows_all_of_its_family),
    cmocka_unit_test(names_a_range_that_is_none),
    cmocka_unit_test(takes_ranges_as_they_are_written),
    cmocka_unit_test(refuses_ports_of_other_protocols),
    cmocka_unit_test(says_which_address_it_refuses_and_what_would_have_to_be_done),
    cmocka_unit_test(reads_a_url_into_its_parts),
    cmocka_unit_test(a_host_may_be_as_long_as_names_are),
    cmocka_unit_test(a_literal_address_is_judged_at_once_and_a_name_when_it_is_called),
    cmocka_unit_test(refuses_families_it_does_not_know),
  };
  return cmocka_run_group_tests_name("address guard", tests, NULL, NULL);
}
