#include "server/journal/plain_batch.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "corod/journal/v1/journal.pb.h"

namespace corod::plain_batch {
namespace {

namespace proto = journal::v1;

// As in the wire format (protobuf.dev/programming-guides/encoding). Every tag here takes one byte.
enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2 };
constexpr std::uint8_t Tag(int field, WireType type) { return static_cast<std::uint8_t>(field << 3 | type); }

constexpr std::size_t kFixed64Field = 9;

std::size_t VarintBytes(std::uint64_t number) { return (static_cast<std::size_t>(std::bit_width(number | 1)) + 6) / 7; }
// What is 0 is not written.
std::size_t VarintField(std::uint64_t number) { return number == 0 ? 0 : 1 + VarintBytes(number); }
std::size_t Fixed64Field(std::uint64_t number) { return number == 0 ? 0 : kFixed64Field; }
std::size_t LengthField(std::size_t size) { return 1 + VarintBytes(size) + size; }

std::uint64_t ZigZag(std::int64_t integer) {
  return static_cast<std::uint64_t>(integer) << 1 ^ static_cast<std::uint64_t>(integer >> 63);
}

std::optional<std::size_t> SizeOf(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return 0;
    case Value::Kind::kBoolean:
      return 2;
    case Value::Kind::kInteger:
      return 1 + VarintBytes(ZigZag(value.AsInteger()));
    case Value::Kind::kNumber:
      return kFixed64Field;
    case Value::Kind::kText:
      return LengthField(value.AsText().size());
    case Value::Kind::kBlob:
      return LengthField(value.AsBlob().size());
    case Value::Kind::kList:
    case Value::Kind::kMap:
    case Value::Kind::kMessage:
    case Value::Kind::kException:
      break;
  }
  return std::nullopt;
}

std::uint64_t TimeOf(const Record& record) { return static_cast<std::uint64_t>(absl::ToUnixNanos(record.time)); }

std::optional<std::size_t> SizeOf(const Record& record) {
  std::size_t size = Fixed64Field(record.fingerprint) + Fixed64Field(TimeOf(record));
  if (!record.request_id.empty()) size += LengthField(record.request_id.size());
  if (record.operation == Operation::kCreate) return size + LengthField(0);
  if (record.operation != Operation::kSend) return std::nullopt;
  const std::optional<std::size_t> value = SizeOf(record.value);
  if (!value) return std::nullopt;
  return size + LengthField(*value);
}

std::size_t SizeOf(const BatchId& id) { return VarintField(id.number) + Fixed64Field(id.writer); }

class Writer {
 public:
  explicit Writer(char* to) : next_(to) {}

  void Byte(std::uint8_t byte) { *next_++ = static_cast<char>(byte); }
  void Varint(std::uint64_t number) {
    for (; number >= 0x80; number >>= 7) Byte(static_cast<std::uint8_t>(number | 0x80));
    Byte(static_cast<std::uint8_t>(number));
  }
  void Fixed64(std::uint64_t number) {
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(next_, &number, sizeof(number));
    next_ += sizeof(number);
  }
  void VarintField(int field, std::uint64_t number) {
    if (number == 0) return;
    Byte(Tag(field, kVarint));
    Varint(number);
  }
  void Fixed64Field(int field, std::uint64_t number) {
    if (number == 0) return;
    Byte(Tag(field, kFixed64));
    Fixed64(number);
  }
  void Length(int field, std::size_t size) {
    Byte(Tag(field, kLength));
    Varint(size);
  }
  void Text(int field, std::string_view text) {
    Length(field, text.size());
    std::memcpy(next_, text.data(), text.size());
    next_ += text.size();
  }

 private:
  char* next_;
};

void Write(const Value& value, Writer& writer) {
  switch (value.kind()) {
    case Value::Kind::kBoolean:
      writer.Byte(Tag(v1::Value::kBooleanFieldNumber, kVarint));
      writer.Byte(value.AsBoolean() ? 1 : 0);
      break;
    case Value::Kind::kInteger:
      writer.Byte(Tag(v1::Value::kIntegerFieldNumber, kVarint));
      writer.Varint(ZigZag(value.AsInteger()));
      break;
    case Value::Kind::kNumber:
      writer.Byte(Tag(v1::Value::kNumberFieldNumber, kFixed64));
      writer.Fixed64(std::bit_cast<std::uint64_t>(value.AsNumber()));
      break;
    case Value::Kind::kText:
      writer.Text(v1::Value::kTextFieldNumber, value.AsText());
      break;
    case Value::Kind::kBlob:
      writer.Text(v1::Value::kBlobFieldNumber, value.AsBlob());
      break;
    default:  // null
      break;
  }
}

void Write(const Record& record, Writer& writer) {
  if (record.operation == Operation::kCreate) {
    writer.Length(proto::Record::kPrimeFieldNumber, 0);
  } else {
    writer.Length(proto::Record::kSendFieldNumber, *SizeOf(record.value));
    Write(record.value, writer);
  }
  if (!record.request_id.empty()) writer.Text(proto::Record::kRequestIdFieldNumber, record.request_id);
  writer.Fixed64Field(proto::Record::kFingerprintFieldNumber, record.fingerprint);
  writer.Fixed64Field(proto::Record::kTimeFieldNumber, TimeOf(record));
}

void Write(int field, const BatchId& id, Writer& writer) {
  writer.Length(field, SizeOf(id));
  writer.VarintField(proto::BatchId::kNumberFieldNumber, id.number);
  writer.Fixed64Field(proto::BatchId::kWriterFieldNumber, id.writer);
}

}  // namespace

std::optional<std::size_t> SizeOf(const Batch& batch) {
  std::size_t size = LengthField(SizeOf(batch.id)) + VarintField(batch.first_step) + Fixed64Field(batch.digest);
  if (batch.previous != BatchId()) size += LengthField(SizeOf(batch.previous));
  for (const Record& record : batch.records) {
    const std::optional<std::size_t> bytes = SizeOf(record);
    if (!bytes) return std::nullopt;
    size += LengthField(*bytes);
  }
  return size;
}

void Write(const Batch& batch, char* to) {
  Writer writer(to);
  Write(proto::Batch::kIdFieldNumber, batch.id, writer);
  if (batch.previous != BatchId()) Write(proto::Batch::kPreviousFieldNumber, batch.previous, writer);
  writer.VarintField(proto::Batch::kFirstStepFieldNumber, batch.first_step);
  writer.Fixed64Field(proto::Batch::kDigestFieldNumber, batch.digest);
  for (const Record& record : batch.records) {
    writer.Length(proto::Batch::kRecordsFieldNumber, *SizeOf(record));
    Write(record, writer);
  }
}

}  // namespace corod::plain_batch
