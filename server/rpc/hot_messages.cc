#include "server/rpc/hot_messages.h"

#include <utility>

#include "corod/v1/coroutine_service.pb.h"
#include "server/coroutine/limits.h"
#include "server/rpc/convert.h"
#include "server/wire/plain.h"

namespace corod::rpc {
namespace {

using wire::kLength;
using wire::kVarint;
using wire::LengthFieldBytes;
using wire::PlainReader;
using wire::PlainWriter;
using wire::Tag;
using wire::VarintFieldBytes;

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
  PlainReader reader(bytes);
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
      if (value.size() > max_bytes || !wire::ReadPlainValue(value, send.value)) return std::nullopt;
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

// Room for so many bytes more.
PlainWriter Append(std::size_t bytes, std::string& to) {
  const std::size_t before = to.size();
  to.resize(before + bytes);
  return PlainWriter(to.data() + before);
}

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
          field_ = v1::Outcome::kYieldedFieldNumber;
          break;
        case Outcome::Kind::kReturned:
          field_ = v1::Outcome::kReturnedFieldNumber;
          break;
        case Outcome::Kind::kRaised:
          field_ = v1::Outcome::kRaisedFieldNumber;
          if (!quiet) return false;
          break;
      }
      if (!quiet) {
        value_ = &reply.outcome->value;
        if (!wire::IsPlain(*value_)) return false;
        value_bytes_ = wire::PlainValueBytes(*value_);
      }
    }
    bytes_ = VarintFieldBytes(step_) + (field_ == 0 ? 0 : LengthFieldBytes(value_bytes_));
    return true;
  }

  std::size_t bytes() const { return bytes_; }

  void Write(PlainWriter& writer) const {
    writer.VarintField(v1::Outcome::kStepFieldNumber, step_);
    if (field_ == 0) return;
    writer.LengthField(field_, value_bytes_);
    if (value_) wire::WritePlainValue(*value_, writer);
  }

 private:
  Step step_ = 0;
  int field_ = 0;  // of the result; 0: none
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
  PlainReader reader(rest_);
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
  PlainWriter writer = Append(LengthFieldBytes(outcome.bytes()) + (reply.replayed ? 2 : 0), to);
  writer.LengthField(v1::SendResponse::kOutcomeFieldNumber, outcome.bytes());
  outcome.Write(writer);
  writer.VarintField(v1::SendResponse::kReplayedFieldNumber, reply.replayed ? 1 : 0);
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
  const std::size_t bytes = VarintFieldBytes(tag) + LengthFieldBytes(outcome.bytes()) + (reply.replayed ? 2 : 0);
  PlainWriter writer = Append(LengthFieldBytes(bytes), to);
  writer.LengthField(v1::DriveResponse::kRepliesFieldNumber, bytes);
  writer.VarintField(v1::Reply::kTagFieldNumber, tag);
  writer.LengthField(v1::Reply::kOutcomeFieldNumber, outcome.bytes());
  outcome.Write(writer);
  writer.VarintField(v1::Reply::kReplayedFieldNumber, reply.replayed ? 1 : 0);
}

}  // namespace corod::rpc
