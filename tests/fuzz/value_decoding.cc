// Fuzzes what comes in from clients before any session sees it: requests, values, exceptions, page tokens and session
// ids.
//
// Whatever the bytes are, they are parsed or refused with a reason that API clients know; what is accepted is within
// the limits and measured exactly; it goes out to protobuf and comes in again as an equal value with the same
// fingerprint; and a client that parses with protobuf's own limits can read the deepest reply it can stand in.
//
// A finding again: build-fuzz/fuzz/value_decoding build-fuzz/findings/value_decoding/crash-...
// An input: what it is (see TestOneInput), then its parameters, then the bytes.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corod/v1/coroutine_service.pb.h"
#include "corod/v1/value.pb.h"
#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/catalog/namespaces.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/fingerprint.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/text_form.h"
#include "server/coroutine/utf8.h"
#include "server/coroutine/value.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/session/session_id.h"
#include "server/wire/value_codec.h"
#include "tests/fuzz/input.h"

namespace corod::fuzz {
namespace {

bool IsRefusal(const absl::Status& status, std::initializer_list<Reason> reasons) {
  for (const Reason reason : reasons) {
    if (IsFailure(status, reason)) return true;
  }
  return false;
}

// The same bytes for equal messages (maps are written in order).
std::string Serialized(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    static_cast<void>(message.SerializeToCodedStream(&coded));
  }
  return bytes;
}

// The bytes of a field with a length: tag, length, content.
std::string WithLength(int field, std::string_view content) {
  std::string bytes(1, static_cast<char>((field << 3) | 2));
  std::size_t rest = content.size();
  for (; rest >= 0x80; rest >>= 7) bytes += static_cast<char>(0x80 | (rest & 0x7f));
  bytes += static_cast<char>(rest);
  return bytes.append(content);
}

template <typename T>
std::uint64_t FingerprintOf(const T& content) {
  Fingerprint fingerprint;
  fingerprint.Add(content);
  return fingerprint.value();
}

void PutIn(const v1::Value& value, v1::Outcome* outcome) { *outcome->mutable_yielded() = value; }
void PutIn(const v1::Exception& exception, v1::Outcome* outcome) { *outcome->mutable_raised() = exception; }

// The reply in which an outcome stands deepest can be read with protobuf's own limit on nesting.
template <typename Proto>
void CheckReadable(const Proto& proto) {
  v1::DriveResponse reply;
  PutIn(proto, reply.add_replies()->mutable_created()->mutable_session()->mutable_last_outcome());
  v1::DriveResponse read;
  Require(read.ParseFromString(reply.SerializeAsString()), "a client cannot read the reply that holds it");
}

void CheckText(const Value& value) {
  Require(IsUtf8(Repr(value)), "repr() is not UTF-8");
  Require(IsUtf8(Str(value)), "str() is not UTF-8");
  Require(!value.TypeName().empty() || value.kind() == Value::Kind::kException, "no name of the type");
  static_cast<void>(value.IsTrue());
}
void CheckText(const Exception& exception) { CheckText(Value(exception)); }

// A copy that is changed leaves its original alone.
void CheckCopies(const Value& value) {
  const Value original = value;
  Value copy = value;
  if (copy.kind() == Value::Kind::kList) {
    copy.MutableList().emplace_back(1);
    Require(copy != value, "a changed list is equal to the one before");
  }
  Require(value == original, "changing a copy changed the value");
}
void CheckCopies(const Exception&) {}

Value Copied(const Value& value) { return Snapshot(value); }
Exception Copied(const Exception& exception) { return exception.Snapshot(); }

// `proto` as a request's value or exception.
template <typename Content, typename Proto>
void CheckContent(const Proto& proto, const ValueLimits& limits) {
  const absl::StatusOr<Content> content = wire::FromProto(proto, limits);
  if (!content.ok()) {
    Require(IsRefusal(content.status(), {Reason::VALUE_TOO_DEEP, Reason::VALUE_TOO_LARGE, Reason::INVALID_EXCEPTION}),
            content.status().ToString());
    Require(IsFailure(content.status(), Reason::VALUE_TOO_LARGE) == (proto.ByteSizeLong() > limits.max_bytes),
            "too large or not: " + content.status().ToString());
    return;
  }
  Require(proto.ByteSizeLong() <= limits.max_bytes, "too large, and accepted");
  // Notes and messages that the server adds take more than what came.
  const ValueLimits roomy{.max_depth = limits.max_depth, .max_bytes = std::size_t{1} << 30};
  const ValueMeasure measure = Measure(*content, roomy);
  Require(measure.fault == ValueMeasure::Fault::kNone, "accepted, and not within the limits");
  Proto out;
  wire::ToProto(*content, &out);
  Require(out.ByteSizeLong() == measure.bytes,
          "measured wrongly: " + std::to_string(measure.bytes) + " for " + std::to_string(out.ByteSizeLong()));
  if (limits.max_depth <= ValueLimits().max_depth) CheckReadable(out);

  const absl::StatusOr<Content> again = wire::FromProto(out, roomy);
  Require(again.ok(), "what went out does not come in again: " + again.status().ToString());
  Require(*again == *content, "what went out came in as something else");
  Require(FingerprintOf(*again) == FingerprintOf(*content), "equal, with two fingerprints");
  Proto out_again;
  wire::ToProto(*again, &out_again);
  Require(Serialized(out) == Serialized(out_again), "goes out in two ways");

  const Content copy = Copied(*content);
  Require(copy == *content, "a snapshot that is not equal");
  Require(FingerprintOf(copy) == FingerprintOf(*content), "a snapshot with another fingerprint");
  CheckText(*content);
  CheckCopies(*content);
}

// Parses `bytes`; whatever protobuf itself can parse must be accepted, as the same message. False: refused.
bool Parse(std::string_view bytes, google::protobuf::Message* request) {
  const absl::Status parsed = rpc::ParseRequest(bytes, request);
  const std::unique_ptr<google::protobuf::Message> plain(request->New());
  const bool plain_parsed = plain->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (!parsed.ok()) {
    Require(IsRefusal(parsed, {Reason::VALUE_TOO_DEEP, Reason::INVALID_ARGUMENTS}), parsed.ToString());
    Require(!plain_parsed, "protobuf takes it: " + parsed.ToString());
    return false;
  }
  if (plain_parsed) Require(Serialized(*plain) == Serialized(*request), "parsed as something else");
  return true;
}

// `value`, a serialized v1::Value, inside of so many lists or maps.
std::string Nested(std::string_view value, int levels, bool maps) {
  std::string bytes(value);
  for (int level = 0; level < levels; ++level) {
    if (maps) {
      const std::string entry = WithLength(v1::MapValue::Entry::kValueFieldNumber, bytes);
      bytes = WithLength(v1::Value::kMapFieldNumber, WithLength(v1::MapValue::kEntriesFieldNumber, entry));
    } else {
      bytes = WithLength(v1::Value::kListFieldNumber, WithLength(v1::ListValue::kItemsFieldNumber, bytes));
    }
  }
  return bytes;
}

void CheckNested(Input& input, const ValueLimits& limits) {
  const bool maps = input.Flag();
  const int levels = input.Byte() * 6;  // up to 1,530, more than is parsed
  const std::string value = Nested(input.Rest(), levels, maps);
  v1::SendRequest request;
  if (!Parse(WithLength(v1::SendRequest::kValueFieldNumber, value), &request)) return;
  const absl::StatusOr<Value> decoded = wire::FromProto(request.value(), limits);
  if (levels > limits.max_depth && value.size() <= limits.max_bytes) {
    Require(IsRefusal(decoded.status(), {Reason::VALUE_TOO_DEEP}), "too deep: " + decoded.status().ToString());
  }
  CheckContent<Value>(request.value(), limits);
}

void CheckSend(std::string_view bytes, const ValueLimits& limits) {
  v1::SendRequest request;
  if (Parse(bytes, &request)) CheckContent<Value>(request.value(), limits);
}

void CheckThrow(std::string_view bytes, const ValueLimits& limits) {
  v1::ThrowRequest request;
  if (Parse(bytes, &request)) CheckContent<Exception>(request.exception(), limits);
}

const rpc::Caller& Anybody() {
  static auto& counted = *new metrics::Metrics("fuzz");
  static auto& accounts = *new Accounts(counted);
  static const auto& caller = *new rpc::Caller(accounts.Of(kDefaultNamespace));
  return caller;
}

void CheckCreate(std::string_view bytes, const ValueLimits& limits) {
  v1::CreateRequest request;
  if (!Parse(bytes, &request)) return;
  const absl::StatusOr<CreateSpec> spec = rpc::FromProto(request, Anybody(), limits);
  if (!spec.ok()) {
    Require(IsRefusal(spec.status(), {Reason::VALUE_TOO_DEEP, Reason::VALUE_TOO_LARGE, Reason::INVALID_EXCEPTION,
                                      Reason::INVALID_ARGUMENTS}),
            spec.status().ToString());
    return;
  }
  Require(spec->arguments.size() == static_cast<std::size_t>(request.arguments_size()), "an argument was lost");
}

// What is answered to a command that cannot be read names its tag and session, and can be sent.
void CheckUnreadable(std::string_view bytes) {
  const v1::Command rest = rpc::ParseWithoutOperation(bytes);
  Require(rest.operation_case() == v1::Command::OPERATION_NOT_SET || rest.has_create(),
          "an operation without its content");
  Require(IsUtf8(rest.session_id()) && IsUtf8(rest.create().session_id()), "a session id that no reply can hold");
}

void CheckCommand(const v1::Command& command, std::string_view bytes, const ValueLimits& limits) {
  const v1::Command rest = rpc::ParseWithoutOperation(bytes);
  Require(rest.tag() == command.tag(), "another tag");
  Require(rest.resume() == command.resume(), "another `resume`");
  Require(rest.session_id() == command.session_id(), "another session id");
  if (command.has_create()) {
    Require(rest.create().session_id() == command.create().session_id(), "another session id of a create");
  }
  if (command.has_send()) CheckContent<Value>(command.send(), limits);
  if (command.has_throw_()) CheckContent<Exception>(command.throw_(), limits);
}

void CheckDrive(std::string_view bytes, const ValueLimits& limits) {
  v1::DriveRequest request;
  const bool parsed = Parse(bytes, &request);
  const absl::StatusOr<std::vector<std::string_view>> commands = rpc::SplitCommands(bytes);
  if (!commands.ok()) {
    Require(IsRefusal(commands.status(), {Reason::INVALID_ARGUMENTS}), commands.status().ToString());
    return;
  }
  if (parsed) {
    Require(commands->size() == static_cast<std::size_t>(request.commands_size()), "split into another number");
  }
  for (std::size_t i = 0; i < commands->size(); ++i) {
    v1::Command command;
    if (!Parse((*commands)[i], &command)) {
      Require(!parsed, "readable only together with others");
      CheckUnreadable((*commands)[i]);
      continue;
    }
    if (parsed) {
      Require(Serialized(command) == Serialized(request.commands(static_cast<int>(i))),
              "a command alone is another command");
    }
    CheckCommand(command, (*commands)[i], limits);
  }
}

void CheckPageToken(std::string_view bytes, std::uint64_t query) {
  const absl::StatusOr<std::string> key = ReadPageToken(bytes, query);
  if (key.ok()) {
    Require(*ReadPageToken(MakePageToken(*key, query), query) == *key, "a key that does not come back");
  } else {
    Require(IsRefusal(key.status(), {Reason::INVALID_PAGE_TOKEN}), key.status().ToString());
  }
  const std::string token = MakePageToken(bytes, query);
  const absl::StatusOr<std::string> read = ReadPageToken(token, query);
  Require(read.ok() && *read == bytes, "a token that is not taken back");
  Require(!ReadPageToken(token, query + 1).ok(), "a token that is taken for another query");
}

bool IsSessionId(std::string_view id) {
  const auto alphanumeric = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (id.empty() || id.size() > 128 || !alphanumeric(id.front()) || !alphanumeric(id.back())) return false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (!alphanumeric(id[i]) && id[i] != '.' && id[i] != '_' && id[i] != ':' && id[i] != '-') return false;
    if (i > 0 && id[i] == '.' && id[i - 1] == '.') return false;
  }
  return true;
}

void CheckId(std::string_view bytes) {
  for (const std::string_view name_space : {kDefaultNamespace, std::string_view("blue")}) {
    const std::string qualified = Qualified(name_space, bytes);
    Require(NamespaceOf(qualified) == name_space, "an id that is of another namespace");
    Require(LocalName(qualified) == bytes, "an id that does not come back");
    const absl::Status status = CheckSessionId(qualified);
    Require(status.ok() == IsSessionId(bytes), "session id: " + status.ToString());
    Require(status.ok() || IsFailure(status, Reason::INVALID_SESSION_ID), status.ToString());
  }
}

void TestOneInput(Input input) {
  const std::uint8_t what = input.Pick(7);
  if (what == 5) return CheckPageToken(input.Rest(), 7);
  if (what == 6) return CheckId(input.Rest());
  ValueLimits limits;
  if (input.Flag()) {
    limits.max_depth = 1 + input.Pick(24);
    limits.max_bytes = input.Byte();
  }
  switch (what) {
    case 0:
      return CheckSend(input.Rest(), limits);
    case 1:
      return CheckThrow(input.Rest(), limits);
    case 2:
      return CheckDrive(input.Rest(), limits);
    case 3:
      return CheckCreate(input.Rest(), limits);
    default:
      return CheckNested(input, limits);
  }
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // it says of each text that is not UTF-8 that it is not
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
