/* links: client */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#include <cmocka.h>

#include "client/guard.h"

static struct nm_error err;

static bool allows(const struct nm_guard *guard, const char *text)
{
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address = { .v6 = { 0 } };
  if (strchr(text, ':')) {
    address.v6.sin6_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
  } else {
    address.v4.sin_family = AF_INET;
    assert_int_equal(inet_pton(AF_INET, text, &address.v4.sin_addr), 1);
  }
  return nm_guard_allows(guard, &address.any);
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
    "172.32.0.0",       "191.255.255.255", "192.0.1.0",       "192.0.3.0",      "192.167.255.255",
    "192.169.0.0",      "198.17.255.255",  "198.20.0.0",      "198.51.99.255",  "198.51.101.0",
    "203.0.112.255",    "203.0.114.0",     "223.255.255.255", "8.8.8.8",        "fbff:ffff::1",
    "fe00::1",          "fe7f::1",         "2000::1",         "2001:db7::1",    "2001:db9::1",
    "2003::1",          "2606:4700::1111", "2a00:1450::1",    "64:ff9b:2::1",   "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8", "2002:808:808::1", "101::1",          "2001:1::1",      "::1:8.8.8.8",
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
    "10.0.0/8",
    "localhost",
    "::1/129",
    "10.0.0.0/8x",
    "/8",
    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct nm_text text = nm_text_from(wrong[i]);
    struct nm_guard guard;
    if (nm_guard_init(&guard, &text, 1, &err) != NM_EINVAL) fail_msg("\"%s\" was taken", wrong[i]);
    assert_non_null(strstr(err.text, wrong[i]));
  }
}

static void refuses_families_it_does_not_know(void **state)
{
  (void)state;
  struct nm_guard guard = { NULL, 0 };
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  assert_false(nm_guard_allows(&guard, (struct sockaddr *)&address));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_every_special_range_at_both_edges),
    cmocka_unit_test(allows_their_neighbours),
    cmocka_unit_test(what_the_settings_allow_passes_and_nothing_else),
    cmocka_unit_test(a_range_of_no_bits_allows_all_of_its_family),
    cmocka_unit_test(names_a_range_that_is_none),
    cmocka_unit_test(refuses_families_it_does_not_know),
  };
  return cmocka_run_group_tests_name("address guard", tests, NULL, NULL);
}
