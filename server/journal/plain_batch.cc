#include "server/journal/plain_batch.h"

#include <cstdint>
#include <utility>

#include "corod/journal/v1/journal.pb.h"
#include "server/coroutine/utf8.h"
#include "server/wire/plain.h"

namespace corod::plain_batch {
namespace {

namespace proto = journal::v1;

using wire::Fixed64FieldBytes;
using wire::kFixed64;
using wire::kLength;
using wire::kVarint;
using wire::LengthFieldBytes;
using wire::PlainReader;
using wire::PlainWriter;
using wire::Tag;
using wire::VarintFieldBytes;

std::uint64_t TimeOf(const Record& record) { return static_cast<std::uint64_t>(absl::ToUnixNanos(record.time)); }

std::optional<std::size_t> SizeOf(const Record& record) {
  std::size_t size = Fixed64FieldBytes(record.fingerprint) + Fixed64FieldBytes(TimeOf(record));
  if (!record.request_id.empty()) size += LengthFieldBytes(record.request_id.size());
  if (record.operation == Operation::kCreate) return size + LengthFieldBytes(0);
  if (record.operation != Operation::kSend) return std::nullopt;
  if (!wire::IsPlain(record.value)) return std::nullopt;
  return size + LengthFieldBytes(wire::PlainValueBytes(record.value));
}

std::size_t SizeOf(const BatchId& id) { return VarintFieldBytes(id.number) + Fixed64FieldBytes(id.writer); }

void Write(const Record& record, PlainWriter& writer) {
  if (record.operation == Operation::kCreate) {
    writer.LengthField(proto::Record::kPrimeFieldNumber, 0);
  } else {
    writer.LengthField(proto::Record::kSendFieldNumber, wire::PlainValueBytes(record.value));
    wire::WritePlainValue(record.value, writer);
  }
  if (!record.request_id.empty()) writer.BytesField(proto::Record::kRequestIdFieldNumber, record.request_id);
  writer.Fixed64Field(proto::Record::kFingerprintFieldNumber, record.fingerprint);
  writer.Fixed64Field(proto::Record::kTimeFieldNumber, TimeOf(record));
}

void Write(int field, const BatchId& id, PlainWriter& writer) {
  writer.LengthField(field, SizeOf(id));
  writer.VarintField(proto::BatchId::kNumberFieldNumber, id.number);
  writer.Fixed64Field(proto::BatchId::kWriterFieldNumber, id.writer);
}

// Each field at most once and in the order of their numbers, as every serializer writes them; but for the records.
bool ReadId(std::string_view bytes, BatchId& id) {
  PlainReader reader(bytes);
  std::uint8_t last = 0;
  while (!reader.AtEnd()) {
    const std::uint8_t field = reader.Byte();
    if (field <= std::exchange(last, field)) return false;
    switch (field) {
      case Tag(proto::BatchId::kNumberFieldNumber, kVarint):
        id.number = reader.Varint();
        break;
      case Tag(proto::BatchId::kWriterFieldNumber, kFixed64):
        id.writer = reader.Fixed64();
        break;
      default:
        return false;
    }
  }
  return reader.ok();
}

bool ReadRecord(std::string_view bytes, Record& record) {
  PlainReader reader(bytes);
  std::uint8_t last = 0;
  bool has_operation = false;
  while (!reader.AtEnd()) {
    const std::uint8_t field = reader.Byte();
    if (field <= std::exchange(last, field)) return false;
    switch (field) {
      case Tag(proto::Record::kSendFieldNumber, kLength):
        record.operation = Operation::kSend;
        if (!wire::ReadPlainValue(reader.Bytes(), record.value)) return false;
        has_operation = true;
        break;
      case Tag(proto::Record::kPrimeFieldNumber, kLength):
        record.operation = Operation::kCreate;
        if (has_operation || !reader.Bytes().empty()) return false;
        has_operation = true;
        break;
      case Tag(proto::Record::kRequestIdFieldNumber, kLength): {
        const std::string_view text = reader.Bytes();
        if (!IsUtf8(text)) return false;
        record.request_id.assign(text);
        break;
      }
      case Tag(proto::Record::kFingerprintFieldNumber, kFixed64):
        record.fingerprint = reader.Fixed64();
        break;
      case Tag(proto::Record::kTimeFieldNumber, kFixed64):
        record.time = absl::FromUnixNanos(static_cast<std::int64_t>(reader.Fixed64()));
        break;
      default:
        return false;
    }
  }
  return reader.ok() && has_operation;
}

}  // namespace

std::optional<std::size_t> SizeOf(const Batch& batch) {
  std::size_t size =
      LengthFieldBytes(SizeOf(batch.id)) + VarintFieldBytes(batch.first_step) + Fixed64FieldBytes(batch.digest);
  if (batch.previous != BatchId()) size += LengthFieldBytes(SizeOf(batch.previous));
  for (const Record& record : batch.records) {
    const std::optional<std::size_t> bytes = SizeOf(record);
    if (!bytes) return std::nullopt;
    size += LengthFieldBytes(*bytes);
  }
  return size;
}

void Write(const Batch& batch, char* to) {
  PlainWriter writer(to);
  Write(proto::Batch::kIdFieldNumber, batch.id, writer);
  if (batch.previous != BatchId()) Write(proto::Batch::kPreviousFieldNumber, batch.previous, writer);
  writer.VarintField(proto::Batch::kFirstStepFieldNumber, batch.first_step);
  writer.Fixed64Field(proto::Batch::kDigestFieldNumber, batch.digest);
  for (const Record& record : batch.records) {
    writer.LengthField(proto::Batch::kRecordsFieldNumber, *SizeOf(record));
    Write(record, writer);
  }
}

std::optional<Batch> Read(std::string_view bytes) {
  std::optional<Batch> batch(std::in_place);
  PlainReader reader(bytes);
  std::uint8_t last = 0;
  while (!reader.AtEnd()) {
    const std::uint8_t field = reader.Byte();
    constexpr std::uint8_t kRecords = Tag(proto::Batch::kRecordsFieldNumber, kLength);
    if (field <= std::exchange(last, field) && field != kRecords) return std::nullopt;
    switch (field) {
      case Tag(proto::Batch::kIdFieldNumber, kLength):
        if (!ReadId(reader.Bytes(), batch->id)) return std::nullopt;
        break;
      case Tag(proto::Batch::kPreviousFieldNumber, kLength):
        if (!ReadId(reader.Bytes(), batch->previous)) return std::nullopt;
        break;
      case Tag(proto::Batch::kFirstStepFieldNumber, kVarint):
        batch->first_step = reader.Varint();
        break;
      case Tag(proto::Batch::kDigestFieldNumber, kFixed64):
        batch->digest = reader.Fixed64();
        break;
      case kRecords:
        if (!ReadRecord(reader.Bytes(), batch->records.emplace_back())) return std::nullopt;
        break;
      default:
        return std::nullopt;
    }
  }
  if (!reader.ok()) return std::nullopt;
  return batch;
}

}  // namespace corod::plain_batch
