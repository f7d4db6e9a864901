/* keyring.h - room-private: the keys that are derived from the master key, which itself is not
 * kept. */
#pragma once

#include <sodium.h>

#include "tenants/internal.h"

enum { NM_MASTER_KEY_BYTES = 32 };

struct nm_keyring {
  unsigned char seal_key[NM_MASTER_KEY_BYTES];
  unsigned char url_key[NM_MASTER_KEY_BYTES];
  unsigned char person_key[NM_MASTER_KEY_BYTES];
};
