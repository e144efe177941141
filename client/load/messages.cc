#include "client/load/messages.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "client/cpp/service_error.h"

namespace corod::load {
namespace {

constexpr std::uint64_t kSeed = 20'240'229;

// Fields as they stand in a serialized message. A field that is cut off, or of a group, ends it with ok() false.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  // The number of the next field; nullopt: there is none.
  std::optional<std::uint32_t> Next() {
    if (at_ == end_ || !ok_) return std::nullopt;
    const std::uint64_t tag = Varint();
    content_ = {};
    switch (tag & 7) {
      case 0:
        Varint();
        break;
      case 1:
        Take(8);
        break;
      case 2:
        Take(Varint());
        break;
      case 5:
        Take(4);
        break;
      default:
        ok_ = false;
    }
    if (!ok_) return std::nullopt;
    return static_cast<std::uint32_t>(tag >> 3);
  }
  std::string_view content() const { return content_; }
  bool ok() const { return ok_; }

 private:
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  void Take(std::uint64_t size) {
    if (size > static_cast<std::uint64_t>(end_ - at_)) {
      ok_ = false;
      return;
    }
    content_ = std::string_view(at_, size);
    at_ += size;
  }

  const char* at_;
  const char* const end_;
  std::string_view content_;
  bool ok_ = true;
};

// The bytes of a message; gathered first if they lie in several places.
class Flat {
 public:
  explicit Flat(grpc::ByteBuffer& buffer) {
    if (!buffer.TrySingleSlice(&slice_).ok()) ok_ = buffer.Length() == 0 || buffer.DumpToSingleSlice(&slice_).ok();
  }
  bool ok() const { return ok_; }
  std::string_view bytes() const { return {reinterpret_cast<const char*>(slice_.begin()), slice_.size()}; }

 private:
  grpc::Slice slice_;
  bool ok_ = true;
};

constexpr std::uint32_t kSendOutcome = v1::SendResponse::kOutcomeFieldNumber;
constexpr std::uint32_t kReplies = v1::DriveResponse::kRepliesFieldNumber;
constexpr std::uint32_t kReplyOutcome = v1::Reply::kOutcomeFieldNumber;
constexpr std::uint32_t kYielded = v1::Outcome::kYieldedFieldNumber;

// Whether `message` has an outcome in the field `number`, and that is a yield.
bool Yielded(std::string_view message, std::uint32_t number) {
  Fields fields(message);
  while (const std::optional<std::uint32_t> field = fields.Next()) {
    if (*field != number) continue;
    Fields outcome(fields.content());
    while (const std::optional<std::uint32_t> part = outcome.Next()) {
      if (*part == kYielded) return true;
    }
    return false;
  }
  return false;
}

absl::Status Unreadable() { return absl::InternalError("an answer cannot be read"); }

absl::Status NoYield(const v1::Outcome& outcome) {
  if (outcome.has_raised()) {
    return absl::FailedPreconditionError(
        absl::StrCat("a coroutine raised ", outcome.raised().type(), ": ", outcome.raised().message()));
  }
  return absl::FailedPreconditionError(outcome.has_returned() ? "a coroutine returned" : "an answer has no outcome");
}

// What is wrong with a response in which something is.
absl::Status WrongReply(std::string_view bytes) {
  v1::DriveResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Unreadable();
  for (const v1::Reply& reply : response.replies()) {
    if (absl::Status status = CheckReply(reply); !status.ok()) return status;
  }
  return Unreadable();
}

}  // namespace

Deck::Deck(std::uint64_t count) : random_(kSeed), numbers_(count), next_(count) {
  std::iota(numbers_.begin(), numbers_.end(), 0);
}

std::uint64_t Deck::Next() {
  if (next_ == numbers_.size()) {
    std::shuffle(numbers_.begin(), numbers_.end(), random_);
    next_ = 0;
  }
  return numbers_[next_++];
}

grpc::ByteBuffer Serialized(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

v1::Value AnInteger() {
  v1::Value value;
  value.set_integer(7);
  return value;
}

std::vector<grpc::ByteBuffer> SendRequests(std::size_t count, Deck& deck, const IdOf& id_of, const v1::Value& value) {
  std::vector<grpc::ByteBuffer> requests;
  requests.reserve(count);
  v1::SendRequest request;
  *request.mutable_value() = value;
  for (std::size_t i = 0; i < count; ++i) {
    request.set_session_id(id_of(deck.Next()));
    requests.push_back(Serialized(request));
  }
  return requests;
}

std::vector<grpc::ByteBuffer> DriveRequests(std::size_t count, std::size_t batch, Deck& deck, const IdOf& id_of,
                                            const v1::Value& value) {
  std::vector<grpc::ByteBuffer> requests;
  requests.reserve(count);
  v1::DriveRequest request;
  for (std::size_t i = 0; i < count; ++i) {
    request.Clear();
    for (std::size_t tag = 1; tag <= batch; ++tag) {
      v1::Command& command = *request.add_commands();
      command.set_tag(tag);
      command.set_session_id(id_of(deck.Next()));
      *command.mutable_send() = value;
    }
    requests.push_back(Serialized(request));
  }
  return requests;
}

absl::Status CheckReply(const v1::Reply& reply) {
  if (reply.has_failure()) return client::StatusOf(reply.failure());
  if (reply.has_created() && !reply.created().has_outcome()) return absl::OkStatus();
  const v1::Outcome& outcome = reply.has_created() ? reply.created().outcome() : reply.outcome();
  return outcome.has_yielded() ? absl::OkStatus() : NoYield(outcome);
}

absl::Status CheckSendResponse(grpc::ByteBuffer& response) {
  const Flat flat(response);
  if (flat.ok() && Yielded(flat.bytes(), kSendOutcome)) return absl::OkStatus();
  v1::SendResponse parsed;
  if (!flat.ok() || !parsed.ParseFromArray(flat.bytes().data(), static_cast<int>(flat.bytes().size()))) {
    return Unreadable();
  }
  return NoYield(parsed.outcome());
}

absl::StatusOr<std::size_t> CountReplies(grpc::ByteBuffer& response) {
  const Flat flat(response);
  if (!flat.ok()) return Unreadable();
  Fields fields(flat.bytes());
  std::size_t count = 0;
  while (const std::optional<std::uint32_t> field = fields.Next()) {
    if (*field != kReplies) continue;
    if (!Yielded(fields.content(), kReplyOutcome)) return WrongReply(flat.bytes());
    ++count;
  }
  if (!fields.ok()) return Unreadable();
  return count;
}

}  // namespace corod::load
