#include "server/rpc/hot_messages.h"

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "corod/v1/coroutine_service.pb.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/utf8.h"
#include "server/rpc/convert.h"

namespace corod::rpc {
namespace {

// As in the wire format (protobuf.dev/programming-guides/encoding).
enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2 };
constexpr std::uint8_t Tag(int field, WireType type) { return static_cast<std::uint8_t>(field << 3 | type); }

std::size_t VarintBytes(std::uint64_t value) { return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7; }

// Reads the parts of a message. Once something is wrong all that follows is.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return next_ == end_; }

  std::uint8_t Byte() {
    if (next_ == end_) return Fail();
    return static_cast<std::uint8_t>(*next_++);
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = Byte();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Fail();
  }
  bool Boolean() { return Varint() != 0; }
  double Fixed64() {
    double number = 0;
    if (end_ - next_ < static_cast<std::ptrdiff_t>(sizeof(number))) return Fail();
    std::memcpy(&number, next_, sizeof(number));
    next_ += sizeof(number);
    return number;
  }
  std::string_view Bytes() {
    const std::uint64_t length = Varint();
    if (length > static_cast<std::size_t>(end_ - next_)) {
      Fail();
      return {};
    }
    const std::string_view bytes(next_, static_cast<std::size_t>(length));
    next_ += length;
    return bytes;
  }
  std::string_view Ascii() {
    const std::string_view text = Bytes();
    std::uint8_t bits = 0;
    for (const char c : text) bits |= static_cast<std::uint8_t>(c);
    if (bits >= 0x80) Fail();
    return text;
  }
  std::uint8_t Fail() {
    ok_ = false;
    next_ = end_;
    return 0;
  }

 private:
  const char* next_;
  const char* end_;
  bool ok_ = true;
};

// False: it is not plain.
bool ReadPlainValue(std::string_view bytes, Value& value) {
  if (bytes.empty()) return true;  // null
  Reader reader(bytes);
  switch (reader.Byte()) {
    case Tag(1, kVarint):
      value = Value(reader.Boolean());
      break;
    case Tag(2, kVarint): {
      const std::uint64_t zigzag = reader.Varint();
      value = Value(static_cast<std::int64_t>(zigzag >> 1 ^ (0 - (zigzag & 1))));
      break;
    }
    case Tag(3, kFixed64):
      value = Value(reader.Fixed64());
      break;
    case Tag(4, kLength): {
      const std::string_view text = reader.Bytes();
      if (!IsUtf8(text)) return false;
      value = Value(text);
      break;
    }
    case Tag(5, kLength):
      value = Value::Blob(std::string(reader.Bytes()));
      break;
    default:
      return false;
  }
  return reader.ok() && reader.AtEnd();
}

// Which field of a message is what.
struct Fields {
  std::uint8_t tag;
  std::uint8_t session_id;
  std::uint8_t value;
  std::uint8_t expected_step;
  std::uint8_t request_id;
  std::uint8_t quiet;
  std::uint8_t resume;
};
constexpr std::uint8_t kNoField = 0;
constexpr Fields kSendRequest = {
    .tag = kNoField,
    .session_id = Tag(v1::SendRequest::kSessionIdFieldNumber, kLength),
    .value = Tag(v1::SendRequest::kValueFieldNumber, kLength),
    .expected_step = Tag(v1::SendRequest::kExpectedStepFieldNumber, kVarint),
    .request_id = Tag(v1::SendRequest::kRequestIdFieldNumber, kLength),
    .quiet = Tag(v1::SendRequest::kQuietFieldNumber, kVarint),
    .resume = kNoField,
};
constexpr Fields kCommand = {
    .tag = Tag(v1::Command::kTagFieldNumber, kVarint),
    .session_id = Tag(v1::Command::kSessionIdFieldNumber, kLength),
    .value = Tag(v1::Command::kSendFieldNumber, kLength),
    .expected_step = Tag(v1::Command::kExpectedStepFieldNumber, kVarint),
    .request_id = Tag(v1::Command::kRequestIdFieldNumber, kLength),
    .quiet = Tag(v1::Command::kQuietFieldNumber, kVarint),
    .resume = Tag(v1::Command::kResumeFieldNumber, kVarint),
};

// `needs_value`: without it this is no Send.
template <const Fields& kFields, bool kNeedsValue>
std::optional<PlainSend> Read(std::string_view bytes, std::size_t max_bytes) {
  PlainSend send;
  Reader reader(bytes);
  std::uint8_t last = 0;
  bool has_value = false;
  while (!reader.AtEnd()) {
    const std::uint8_t field = reader.Byte();
    // Each at most once and in the order of their numbers, as every serializer writes them.
    if (field <= last) return std::nullopt;
    last = field;
    if (field == kFields.session_id) {
      send.session_id = reader.Ascii();
    } else if (field == kFields.value) {
      has_value = true;
      const std::string_view value = reader.Bytes();
      if (value.size() > max_bytes || !ReadPlainValue(value, send.value)) return std::nullopt;
    } else if (field == kFields.tag) {
      send.tag = reader.Varint();
    } else if (field == kFields.expected_step) {
      send.expected_step = reader.Varint();
    } else if (field == kFields.request_id) {
      send.request_id = reader.Ascii();
    } else if (field == kFields.quiet) {
      send.quiet = reader.Boolean();
    } else if (field == kFields.resume) {
      send.resume = reader.Boolean();
    } else {
      return std::nullopt;
    }
  }
  if (!reader.ok() || (kNeedsValue && !has_value)) return std::nullopt;
  return send;
}

// Writes into a text that is long enough.
class Writer {
 public:
  Writer(std::string& to, std::size_t bytes) {
    const std::size_t before = to.size();
    to.resize(before + bytes);
    next_ = to.data() + before;
  }

  void Byte(std::uint8_t byte) { *next_++ = static_cast<char>(byte); }
  void Varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) Byte(static_cast<std::uint8_t>(value | 0x80));
    Byte(static_cast<std::uint8_t>(value));
  }
  void Bytes(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(next_, bytes.data(), bytes.size());
    next_ += bytes.size();
  }
  void Double(double number) {
    std::memcpy(next_, &number, sizeof(number));
    next_ += sizeof(number);
  }

 private:
  char* next_;
};

// An Outcome that protobuf need not write: its length and the parts.
class PlainOutcome {
 public:
  // False: it is not plain.
  bool Take(const Reply& reply, bool quiet) {
    step_ = reply.step;
    value_ = nullptr;
    value_bytes_ = 0;
    field_ = 0;
    if (reply.outcome) {
      switch (reply.outcome->kind) {
        case Outcome::Kind::kYielded:
          field_ = Tag(v1::Outcome::kYieldedFieldNumber, kLength);
          break;
        case Outcome::Kind::kReturned:
          field_ = Tag(v1::Outcome::kReturnedFieldNumber, kLength);
          break;
        case Outcome::Kind::kRaised:
          field_ = Tag(v1::Outcome::kRaisedFieldNumber, kLength);
          if (!quiet) return false;
          break;
      }
      if (!quiet) {
        value_ = &reply.outcome->value;
        if (value_->kind() > Value::Kind::kBlob) return false;
        value_bytes_ = BytesOf(*value_);
      }
    }
    bytes_ =
        (step_ == 0 ? 0 : 1 + VarintBytes(step_)) + (field_ == 0 ? 0 : 1 + VarintBytes(value_bytes_) + value_bytes_);
    return true;
  }

  std::size_t bytes() const { return bytes_; }

  void Write(Writer& writer) const {
    if (step_ != 0) {
      writer.Byte(Tag(v1::Outcome::kStepFieldNumber, kVarint));
      writer.Varint(step_);
    }
    if (field_ == 0) return;
    writer.Byte(field_);
    writer.Varint(value_bytes_);
    if (value_) Write(*value_, writer);
  }

 private:
  static std::uint64_t ZigZag(std::int64_t integer) {
    return static_cast<std::uint64_t>(integer) << 1 ^ static_cast<std::uint64_t>(integer >> 63);
  }
  static std::size_t BytesOf(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kBoolean:
        return 2;
      case Value::Kind::kInteger:
        return 1 + VarintBytes(ZigZag(value.AsInteger()));
      case Value::Kind::kNumber:
        return 9;
      case Value::Kind::kText:
        return 1 + VarintBytes(value.AsText().size()) + value.AsText().size();
      case Value::Kind::kBlob:
        return 1 + VarintBytes(value.AsBlob().size()) + value.AsBlob().size();
      default:
        return 0;
    }
  }
  static void Write(const Value& value, Writer& writer) {
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
        writer.Double(value.AsNumber());
        break;
      case Value::Kind::kText:
        writer.Byte(Tag(v1::Value::kTextFieldNumber, kLength));
        writer.Varint(value.AsText().size());
        writer.Bytes(value.AsText());
        break;
      case Value::Kind::kBlob:
        writer.Byte(Tag(v1::Value::kBlobFieldNumber, kLength));
        writer.Varint(value.AsBlob().size());
        writer.Bytes(value.AsBlob());
        break;
      default:
        break;
    }
  }

  Step step_ = 0;
  std::uint8_t field_ = 0;
  const Value* value_ = nullptr;
  std::size_t value_bytes_ = 0;
  std::size_t bytes_ = 0;
};

Loudness LoudnessOf(bool quiet) { return quiet ? Loudness::kQuiet : Loudness::kLoud; }

}  // namespace

std::optional<PlainSend> ReadPlainSendRequest(std::string_view bytes, std::size_t max_bytes) {
  return Read<kSendRequest, false>(bytes, max_bytes);
}

std::optional<PlainSend> ReadPlainCommand(std::string_view bytes, std::size_t max_bytes) {
  return Read<kCommand, true>(bytes, max_bytes);
}

std::optional<std::string_view> CommandReader::Next() {
  if (rest_.empty() || !ok_) return std::nullopt;
  Reader reader(rest_);
  const std::uint8_t field = reader.Byte();
  const std::string_view command = reader.Bytes();
  ok_ = reader.ok() && field == Tag(v1::DriveRequest::kCommandsFieldNumber, kLength);
  if (!ok_) return std::nullopt;
  rest_.remove_prefix(static_cast<std::size_t>(command.data() + command.size() - rest_.data()));
  return command;
}

void AppendSendResponse(const Reply& reply, bool quiet, std::string& to) {
  PlainOutcome outcome;
  if (!outcome.Take(reply, quiet)) {
    v1::SendResponse response;
    ToProto(reply, LoudnessOf(quiet), response.mutable_outcome());
    response.set_replayed(reply.replayed);
    response.AppendToString(&to);
    return;
  }
  Writer writer(to, 1 + VarintBytes(outcome.bytes()) + outcome.bytes() + (reply.replayed ? 2 : 0));
  writer.Byte(Tag(v1::SendResponse::kOutcomeFieldNumber, kLength));
  writer.Varint(outcome.bytes());
  outcome.Write(writer);
  if (reply.replayed) {
    writer.Byte(Tag(v1::SendResponse::kReplayedFieldNumber, kVarint));
    writer.Byte(1);
  }
}

bool IsPlainReply(const Reply& reply, bool quiet) {
  PlainOutcome outcome;
  return outcome.Take(reply, quiet);
}

void AppendReply(std::uint64_t tag, const Reply& reply, bool quiet, std::string& to) {
  PlainOutcome outcome;
  if (!outcome.Take(reply, quiet)) {
    v1::DriveResponse response;
    v1::Reply& proto = *response.add_replies();
    proto.set_tag(tag);
    ToProto(reply, LoudnessOf(quiet), proto.mutable_outcome());
    proto.set_replayed(reply.replayed);
    response.AppendToString(&to);
    return;
  }
  const std::size_t bytes = (tag == 0 ? 0 : 1 + VarintBytes(tag)) + 1 + VarintBytes(outcome.bytes()) + outcome.bytes() +
                            (reply.replayed ? 2 : 0);
  Writer writer(to, 1 + VarintBytes(bytes) + bytes);
  writer.Byte(Tag(v1::DriveResponse::kRepliesFieldNumber, kLength));
  writer.Varint(bytes);
  if (tag != 0) {
    writer.Byte(Tag(v1::Reply::kTagFieldNumber, kVarint));
    writer.Varint(tag);
  }
  writer.Byte(Tag(v1::Reply::kOutcomeFieldNumber, kLength));
  writer.Varint(outcome.bytes());
  outcome.Write(writer);
  if (reply.replayed) {
    writer.Byte(Tag(v1::Reply::kReplayedFieldNumber, kVarint));
    writer.Byte(1);
  }
}

}  // namespace corod::rpc
