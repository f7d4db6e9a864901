/* public_profiles.h - what the files about profiles share.  Room-private. */
#pragma once

#include "api/internal.h"

/* Text of 1 to 256 bytes without control characters. */
bool nm_api_is_ext_id(struct nm_text id);
