#ifndef COROD_SERVER_JOURNAL_CODEC_H_
#define COROD_SERVER_JOURNAL_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "server/journal/record.h"

// What a journal holds, to and from bytes (docs/journal.md). Each result of Encode is framed: the format's version, a
// CRC-32C, then a message of proto/corod/journal/v1.
//
// Decode gives back what was encoded, exactly. kDataLoss for what is damaged or was written by a newer corod.
namespace corod {

using ExportItem = std::variant<Head, Checkpoint, Batch>;

// REQUIRES of all: texts are UTF-8, exceptions have chains that end (Exception::Snapshot).
std::string Encode(const Batch& batch);
// The same, behind what `to` holds. A batch whose values are plain takes no detour through protobuf's objects.
void AppendEncoded(const Batch& batch, std::string& to);
std::string Encode(const Head& head);
std::string Encode(const Checkpoint& checkpoint);
// Without the request id, which is part of its key.
std::string Encode(const Tombstone& tombstone);
std::string Encode(const CatalogEvent& event);
std::string Encode(const ExportItem& item);

absl::StatusOr<Batch> DecodeBatch(std::string_view bytes);
absl::StatusOr<Head> DecodeHead(std::string_view bytes);
absl::StatusOr<Checkpoint> DecodeCheckpoint(std::string_view bytes);
absl::StatusOr<Tombstone> DecodeTombstone(std::string_view bytes, std::string_view request_id);
// kDataLoss also for another revision's. Its message names the revision.
absl::StatusOr<CatalogEvent> DecodeCatalogEvent(std::string_view bytes, std::uint64_t revision);
absl::StatusOr<ExportItem> DecodeExportItem(std::string_view bytes);

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_CODEC_H_
