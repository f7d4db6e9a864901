--- Which share a person falls into: the same one for ever.
--
-- The place of a person is a number from 0 to 9,999, worked out from a salt and the
-- customer's id alone: FNV-1a with 64 bits over the bytes of the salt, one zero byte and the
-- bytes of the id, stirred by MurmurHash3's finaliser, then the upper 32 bits scaled down to
-- 10,000.  Shares take these places in the order in which they stand, a hundredth of a
-- percent each.  Nothing of this may ever change: running tests rest on it
-- (`spec/lua/netmove/shares_spec.lua` holds the numbers).

local shares = {}

local byte = string.byte

local BASIS, PRIME = 0xcbf29ce484222325, 0x100000001b3
local STIR_1, STIR_2 = 0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53

--- How many places there are: percents with two digits.
shares.PLACES = 10000

--- FNV-1a, 64 bits; `hash` goes on from an earlier text.
---@param text string
---@param hash integer?
---@return integer
function shares.fnv1a(text, hash)
  hash = hash or BASIS
  for i = 1, #text do hash = (hash ~ byte(text, i)) * PRIME end
  return hash
end

--- MurmurHash3's finaliser, 64 bits: FNV-1a alone hardly moves the upper bits of short texts.
---@param hash integer
---@return integer
function shares.stir(hash)
  hash = (hash ~ hash >> 33) * STIR_1
  hash = (hash ~ hash >> 33) * STIR_2
  return hash ~ hash >> 33
end

--- What a salt adds up to; the ids go on from there.
---@param salt string
---@return integer
function shares.salted(salt)
  return shares.fnv1a("\0", shares.fnv1a(salt))
end

--- The place of a person.
---@param salted integer  of `shares.salted`
---@param id string
---@return integer place  0 to 9999
function shares.place(salted, id)
  return (shares.stir(shares.fnv1a(id, salted)) >> 32) * shares.PLACES >> 32
end

return shares
