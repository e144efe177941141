#include "client/cpp/codec.h"

#include <limits>
#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/coroutine/limits.h"
#include "server/wire/value_codec.h"

namespace corod::client {
namespace {

constexpr ValueLimits kOut{.max_depth = 5000, .max_bytes = std::numeric_limits<std::size_t>::max()};
// protobuf reads no message that nests deeper.
constexpr ValueLimits kIn{.max_depth = 100, .max_bytes = std::numeric_limits<std::size_t>::max()};

absl::Status CheckOut(const ValueMeasure& measure) {
  switch (measure.fault) {
    case ValueMeasure::Fault::kNone:
      return absl::OkStatus();
    case ValueMeasure::Fault::kNotUtf8:
      return absl::InvalidArgumentError("the value holds text that is not UTF-8; send it as bytes");
    case ValueMeasure::Fault::kTooDeep:
    case ValueMeasure::Fault::kTooLarge:
      break;
  }
  return Failed(Reason::VALUE_TOO_DEEP,
                "the value nests more than " + std::to_string(kOut.max_depth) + " deep; flatten it",
                {{"max_depth", std::to_string(kOut.max_depth)}});
}

absl::Status NotUnderstood(const absl::Status& why) {
  return absl::InternalError("the server's reply cannot be read: " + std::string(why.message()));
}

}  // namespace

absl::StatusOr<v1::Value> Encode(const Value& value) {
  if (absl::Status fault = CheckOut(Measure(value, kOut)); !fault.ok()) return fault;
  v1::Value proto;
  wire::ToProto(value, &proto);
  return proto;
}

absl::StatusOr<v1::Exception> Encode(const Exception& exception) {
  const Exception snapshot = exception.Snapshot();
  if (absl::Status fault = CheckOut(Measure(snapshot, kOut)); !fault.ok()) return fault;
  v1::Exception proto;
  wire::ToProto(snapshot, &proto);
  return proto;
}

absl::StatusOr<Value> Decode(const v1::Value& proto) {
  absl::StatusOr<Value> value = wire::FromProto(proto, kIn);
  if (!value.ok()) return NotUnderstood(value.status());
  return value;
}

absl::StatusOr<Exception> Decode(const v1::Exception& proto) {
  absl::StatusOr<Exception> exception = wire::FromProto(proto, kIn);
  if (!exception.ok()) return NotUnderstood(exception.status());
  return exception;
}

absl::StatusOr<Outcome> Decode(const v1::Outcome& proto) {
  switch (proto.result_case()) {
    case v1::Outcome::kYielded:
    case v1::Outcome::kReturned: {
      const bool yielded = proto.result_case() == v1::Outcome::kYielded;
      absl::StatusOr<Value> value = Decode(yielded ? proto.yielded() : proto.returned());
      if (!value.ok()) return value.status();
      return yielded ? Outcome::Yielded(*std::move(value)) : Outcome::Returned(*std::move(value));
    }
    case v1::Outcome::kRaised: {
      if (proto.raised().type().empty()) return Outcome::Raised(Exception("BaseException"));
      absl::StatusOr<Exception> exception = Decode(proto.raised());
      if (!exception.ok()) return exception.status();
      return Outcome::Raised(*exception);
    }
    case v1::Outcome::RESULT_NOT_SET:
      break;
  }
  return absl::InternalError("the server's reply holds no outcome");
}

}  // namespace corod::client
