#include "server/journal/rocks_keys.h"

#include <array>

namespace corod::rocks_keys {
namespace {

constexpr char kUuid = 0, kText = 1;                    // what a prefix begins with
constexpr char kLife = 0, kCheckpoint = 1, kBatch = 2;  // what follows it
constexpr char kEnd = 3;
constexpr std::size_t kNumberBytes = 8;

void AppendNumber(std::uint64_t number, std::size_t bytes, std::string& to) {
  for (std::size_t i = bytes; i-- > 0;) to.push_back(static_cast<char>(number >> (8 * i)));
}

std::uint64_t ReadNumber(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char c : bytes) number = number << 8 | static_cast<std::uint8_t>(c);
  return number;
}

// Also times before 1970 sort.
constexpr std::uint64_t kSign = std::uint64_t{1} << 63;

void AppendTime(absl::Time time, std::string& to) {
  AppendNumber(static_cast<std::uint64_t>(absl::ToUnixNanos(time)) ^ kSign, kNumberBytes, to);
}

absl::Time ReadTime(std::string_view bytes) {
  return absl::FromUnixNanos(static_cast<std::int64_t>(ReadNumber(bytes) ^ kSign));
}

// -1: it is no hexadecimal digit in lower case.
int DigitOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The 16 bytes of a UUID as 36 characters in lower case; nullopt: it is none.
std::optional<std::string> PackUuid(std::string_view text) {
  constexpr std::array<std::size_t, 4> kHyphens = {8, 13, 18, 23};
  if (text.size() != 36) return std::nullopt;
  for (const std::size_t at : kHyphens) {
    if (text[at] != '-') return std::nullopt;
  }
  std::string packed;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '-') {
      ++i;
      continue;
    }
    const int high = DigitOf(text[i]);
    const int low = i + 1 < text.size() ? DigitOf(text[i + 1]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    packed.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  if (packed.size() != 16) return std::nullopt;
  return packed;
}

bool IsKindOf(char kind, std::string_view prefix, std::string_view key) {
  return key.size() == prefix.size() + 1 + kNumberBytes && key.starts_with(prefix) && key[prefix.size()] == kind;
}

std::string Numbered(char kind, std::string_view uid, std::uint64_t number) {
  std::string key = PrefixOf(uid);
  key.push_back(kind);
  AppendNumber(number, kNumberBytes, key);
  return key;
}

}  // namespace

std::string HeadKey(std::string_view id) { return std::string("h").append(id); }
std::string_view IdInHeadKey(std::string_view key) { return key.substr(1); }

std::string PrefixOf(std::string_view uid) {
  std::string prefix("l");
  if (const std::optional<std::string> uuid = PackUuid(uid)) {
    prefix.push_back(kUuid);
    return prefix + *uuid;
  }
  prefix.push_back(kText);
  AppendNumber(uid.size(), 2, prefix);
  return prefix.append(uid);
}

std::string GroupPrefix(std::uint32_t uid_group) {
  std::string prefix("l");
  prefix.push_back(kUuid);
  AppendNumber(uid_group, 4, prefix);
  return prefix;
}

std::string EndOfGroup(std::uint32_t uid_group) {
  // Behind the last one come the logs of sessions whose uids are other texts.
  return uid_group == ~std::uint32_t{0} ? std::string("l") + kText : GroupPrefix(uid_group + 1);
}

std::string LifeKey(std::string_view uid) { return PrefixOf(uid) + kLife; }
std::string EndOf(std::string_view uid) { return PrefixOf(uid) + kEnd; }
std::string CheckpointKey(std::string_view uid, Step step) { return Numbered(kCheckpoint, uid, step); }
std::string BatchKey(std::string_view uid, std::uint64_t number) { return Numbered(kBatch, uid, number); }
bool IsCheckpointOf(std::string_view prefix, std::string_view key) { return IsKindOf(kCheckpoint, prefix, key); }
bool IsBatchOf(std::string_view prefix, std::string_view key) { return IsKindOf(kBatch, prefix, key); }
std::uint64_t NumberIn(std::string_view key) { return ReadNumber(key.substr(key.size() - kNumberBytes)); }

std::string CatalogKey(std::uint64_t revision) {
  std::string key(kCatalog);
  AppendNumber(revision, kNumberBytes, key);
  return key;
}

std::string DueKey(absl::Time time, std::string_view id) {
  std::string key(kDues);
  AppendTime(time, key);
  return key.append(id);
}

Journal::Due ParseDueKey(std::string_view key) {
  return {ReadTime(key.substr(1, kNumberBytes)), std::string(key.substr(1 + kNumberBytes))};
}

std::string GarbageKey(std::string_view uid) { return std::string(kGarbage).append(uid); }
std::string_view UidInGarbageKey(std::string_view key) { return key.substr(1); }

std::string TombstoneKey(std::string_view id, std::string_view request_id) {
  std::string key("t");
  AppendNumber(id.size(), 2, key);
  return key.append(id).append(request_id);
}

std::string ExpiryKey(absl::Time time, std::string_view tombstone_key) {
  std::string key(kExpiries);
  AppendTime(time, key);
  return key.append(tombstone_key);
}

absl::Time TimeInExpiryKey(std::string_view key) { return ReadTime(key.substr(1, kNumberBytes)); }
std::string_view TombstoneInExpiryKey(std::string_view key) { return key.substr(1 + kNumberBytes); }

std::string EncodeCount(std::uint64_t count) {
  std::string bytes;
  AppendNumber(count, kNumberBytes, bytes);
  return bytes;
}

std::optional<std::uint64_t> DecodeCount(std::string_view bytes) {
  if (bytes.size() != kNumberBytes) return std::nullopt;
  return ReadNumber(bytes);
}

}  // namespace corod::rocks_keys
