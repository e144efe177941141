#ifndef COROD_SERVER_JOURNAL_ROCKS_KEYS_H_
#define COROD_SERVER_JOURNAL_ROCKS_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "server/journal/journal.h"
#include "server/journal/record.h"

// The keys of RocksJournal (docs/journal.md). Numbers are big-endian, so that keys sort as they do.
namespace corod::rocks_keys {

std::string HeadKey(std::string_view id);
std::string_view IdInHeadKey(std::string_view key);

// The log: all that a session has begins with its prefix.
std::string PrefixOf(std::string_view uid);
// Before all that sessions have whose uids are UUIDs that begin with this number, and behind it.
std::string GroupPrefix(std::uint32_t uid_group);
std::string EndOfGroup(std::uint32_t uid_group);
std::string LifeKey(std::string_view uid);
std::string CheckpointKey(std::string_view uid, Step step);
// Of a run of batches that ends with that number.
std::string BatchKey(std::string_view uid, std::uint64_t number);
// Behind all keys of the session.
std::string EndOf(std::string_view uid);
bool IsCheckpointOf(std::string_view prefix, std::string_view key);
bool IsBatchOf(std::string_view prefix, std::string_view key);
// The step or the number at the end of such a key; the revision in a CatalogKey.
std::uint64_t NumberIn(std::string_view key);

// Of the event that has that revision.
std::string CatalogKey(std::uint64_t revision);

inline constexpr std::string_view kHeadsEnd = "i";
inline constexpr std::string_view kSessionCount = "n";
inline constexpr std::string_view kCatalog = "c", kCatalogEnd = "d";
inline constexpr std::string_view kDues = "d", kDuesEnd = "e";
inline constexpr std::string_view kGarbage = "g", kGarbageEnd = "h";
inline constexpr std::string_view kExpiries = "x", kExpiriesEnd = "y";

std::string DueKey(absl::Time time, std::string_view id);
Journal::Due ParseDueKey(std::string_view key);
std::string GarbageKey(std::string_view uid);
std::string_view UidInGarbageKey(std::string_view key);
std::string TombstoneKey(std::string_view id, std::string_view request_id);
std::string ExpiryKey(absl::Time time, std::string_view tombstone_key);
absl::Time TimeInExpiryKey(std::string_view key);
std::string_view TombstoneInExpiryKey(std::string_view key);

std::string EncodeCount(std::uint64_t count);
// nullopt: it is none.
std::optional<std::uint64_t> DecodeCount(std::string_view bytes);

}  // namespace corod::rocks_keys

#endif  // COROD_SERVER_JOURNAL_ROCKS_KEYS_H_
