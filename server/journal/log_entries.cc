#include "server/journal/log_entries.h"

#include <cstring>
#include <optional>
#include <utility>

#include "server/journal/varint.h"

namespace corod {
namespace {

using Kind = LogEntry::Kind;

constexpr char kUuid = 0, kText = 1;  // what a uid begins with

void AppendKind(Kind kind, std::string& to) { to.push_back(static_cast<char>(kind)); }

void AppendText(std::string_view text, std::string& to) {
  AppendVarint(text.size(), to);
  to.append(text);
}

void AppendUid(const CompactText& uid, std::string& to) {
  if (uid.IsUuid()) {
    const CompactText::Uuid bytes = uid.uuid();
    to.push_back(kUuid);
    to.append(bytes.data(), bytes.size());
    return;
  }
  CompactText::Buffer buffer;
  to.push_back(kText);
  AppendText(uid.View(buffer), to);
}

bool TakeUid(std::string_view& bytes, CompactText& uid) {
  if (bytes.empty()) return false;
  const char form = bytes[0];
  bytes.remove_prefix(1);
  if (form == kUuid) {
    CompactText::Uuid uuid;
    if (bytes.size() < uuid.size()) return false;
    std::memcpy(uuid.data(), bytes.data(), uuid.size());
    bytes.remove_prefix(uuid.size());
    std::optional<CompactText> text = CompactText::FromUuid(uuid);
    if (!text) return false;
    uid = *std::move(text);
    return true;
  }
  std::string_view text;
  if (form != kText || !TakeText(bytes, text)) return false;
  uid = CompactText(text);
  return true;
}

}  // namespace

void LogEntries::Put(std::string_view key, std::string_view value) {
  has_puts_ = true;
  AppendKind(Kind::kPut, bytes_);
  AppendText(key, bytes_);
  AppendText(value, bytes_);
}

void LogEntries::Delete(std::string_view key) {
  has_puts_ = true;
  AppendKind(Kind::kDelete, bytes_);
  AppendText(key, bytes_);
}

void LogEntries::AddBatch(const CompactText& uid, std::uint64_t number, std::string_view batch) {
  AppendKind(Kind::kBatch, bytes_);
  AppendUid(uid, bytes_);
  AppendVarint(number, bytes_);
  AppendText(batch, bytes_);
}

void LogEntries::Trim(const CompactText& uid, std::uint64_t number) {
  AppendKind(Kind::kTrim, bytes_);
  AppendUid(uid, bytes_);
  AppendVarint(number, bytes_);
}

void LogEntries::Drop(const CompactText& uid) {
  AppendKind(Kind::kDrop, bytes_);
  AppendUid(uid, bytes_);
}

namespace {

bool TakeWhole(std::string_view& bytes, LogEntry& entry) {
  if (bytes.empty()) return false;
  entry.kind = static_cast<Kind>(bytes[0]);
  bytes.remove_prefix(1);
  switch (entry.kind) {
    case Kind::kPut:
      return TakeText(bytes, entry.key) && TakeText(bytes, entry.value);
    case Kind::kDelete:
      return TakeText(bytes, entry.key);
    case Kind::kBatch:
      return TakeUid(bytes, entry.uid) && TakeVarint(bytes, entry.number) && TakeText(bytes, entry.value);
    case Kind::kTrim:
      return TakeUid(bytes, entry.uid) && TakeVarint(bytes, entry.number);
    case Kind::kDrop:
      return TakeUid(bytes, entry.uid);
  }
  return false;
}

}  // namespace

bool TakeEntry(std::string_view& bytes, LogEntry& entry) {
  std::string_view rest = bytes;
  if (!TakeWhole(rest, entry)) return false;
  bytes = rest;
  return true;
}

}  // namespace corod
