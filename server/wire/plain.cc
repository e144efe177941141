#include "server/wire/plain.h"

#include <string>

#include "corod/v1/value.pb.h"
#include "server/coroutine/utf8.h"

namespace corod::wire {
namespace {

constexpr std::uint8_t kBoolean = Tag(v1::Value::kBooleanFieldNumber, kVarint);
constexpr std::uint8_t kInteger = Tag(v1::Value::kIntegerFieldNumber, kVarint);
constexpr std::uint8_t kNumber = Tag(v1::Value::kNumberFieldNumber, kFixed64);
constexpr std::uint8_t kText = Tag(v1::Value::kTextFieldNumber, kLength);
constexpr std::uint8_t kBlob = Tag(v1::Value::kBlobFieldNumber, kLength);

std::uint64_t ZigZag(std::int64_t integer) {
  return static_cast<std::uint64_t>(integer) << 1 ^ static_cast<std::uint64_t>(integer >> 63);
}
std::int64_t UnZigZag(std::uint64_t number) { return static_cast<std::int64_t>(number >> 1 ^ (0 - (number & 1))); }

}  // namespace

bool ReadPlainValue(std::string_view bytes, Value& value) {
  if (bytes.empty()) {
    value = Value();
    return true;
  }
  PlainReader reader(bytes);
  switch (reader.Byte()) {
    case kBoolean:
      value = Value(reader.Boolean());
      break;
    case kInteger:
      value = Value(UnZigZag(reader.Varint()));
      break;
    case kNumber:
      value = Value(std::bit_cast<double>(reader.Fixed64()));
      break;
    case kText: {
      const std::string_view text = reader.Bytes();
      if (!IsUtf8(text)) return false;
      value = Value(text);
      break;
    }
    case kBlob:
      value = Value::Blob(std::string(reader.Bytes()));
      break;
    default:
      return false;
  }
  return reader.ok() && reader.AtEnd();
}

std::size_t PlainValueBytes(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kBoolean:
      return 2;
    case Value::Kind::kInteger:
      return 1 + VarintBytes(ZigZag(value.AsInteger()));
    case Value::Kind::kNumber:
      return 1 + sizeof(double);
    case Value::Kind::kText:
      return LengthFieldBytes(value.AsText().size());
    case Value::Kind::kBlob:
      return LengthFieldBytes(value.AsBlob().size());
    default:  // null
      return 0;
  }
}

void WritePlainValue(const Value& value, PlainWriter& writer) {
  switch (value.kind()) {
    case Value::Kind::kBoolean:
      writer.Byte(kBoolean);
      writer.Byte(value.AsBoolean() ? 1 : 0);
      break;
    case Value::Kind::kInteger:
      writer.Byte(kInteger);
      writer.Varint(ZigZag(value.AsInteger()));
      break;
    case Value::Kind::kNumber:
      writer.Byte(kNumber);
      writer.Fixed64(std::bit_cast<std::uint64_t>(value.AsNumber()));
      break;
    case Value::Kind::kText:
      writer.BytesField(v1::Value::kTextFieldNumber, value.AsText());
      break;
    case Value::Kind::kBlob:
      writer.BytesField(v1::Value::kBlobFieldNumber, value.AsBlob());
      break;
    default:  // null
      break;
  }
}

}  // namespace corod::wire
