#include "server/rpc/convert.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/coroutine/map.h"
#include "server/rpc/status.h"
#include "server/session/refusals.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

constexpr std::size_t kMaxRequestIdBytes = 128;
constexpr std::int32_t kDefaultPage = 100;
constexpr std::int32_t kMaxPage = 1'000;

v1::State ToProto(CoroutineState state) {
  switch (state) {
    case CoroutineState::kCreated:
      return v1::STATE_CREATED;
    case CoroutineState::kSuspended:
      return v1::STATE_SUSPENDED;
    case CoroutineState::kRunning:
      return v1::STATE_RUNNING;
    case CoroutineState::kClosed:
      return v1::STATE_CLOSED;
  }
  return v1::STATE_UNSPECIFIED;
}

v1::CloseCause ToProto(CloseCause cause) {
  switch (cause) {
    case CloseCause::kClient:
      return v1::CLOSE_CAUSE_CLIENT;
    case CloseCause::kIdle:
      return v1::CLOSE_CAUSE_IDLE;
    case CloseCause::kExpired:
      return v1::CLOSE_CAUSE_EXPIRED;
    case CloseCause::kDrain:
      return v1::CLOSE_CAUSE_DRAIN;
    case CloseCause::kDelete:
      return v1::CLOSE_CAUSE_DELETE;
  }
  return v1::CLOSE_CAUSE_UNSPECIFIED;
}

// By name; none if this server does not know the names.
void AddArguments(const Head& head, const Definition* definition,
                  google::protobuf::Map<std::string, v1::Value>* proto) {
  if (!definition || definition->parameters.size() != head.arguments.size()) return;
  for (std::size_t i = 0; i < head.arguments.size(); ++i) {
    wire::ToProto(head.arguments[i], &(*proto)[definition->parameters[i].name]);
  }
}

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const absl::Duration since = time - absl::UnixEpoch();
  absl::Duration rest;
  proto->set_seconds(absl::IDivDuration(since, absl::Seconds(1), &rest));
  proto->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
}

absl::Status InvalidTime(const char* parameter) {
  return Failed(Reason::INVALID_ARGUMENTS, std::string(parameter) + " is out of range", {{"parameter", parameter}});
}

void ToProto(Step step, const Outcome& outcome, Loudness loudness, v1::Outcome* proto) {
  proto->set_step(step);
  const Value& value = outcome.value;
  const bool loud = loudness == Loudness::kLoud;
  switch (outcome.kind) {
    case Outcome::Kind::kYielded: {
      v1::Value* yielded = proto->mutable_yielded();
      if (loud) wire::ToProto(value, yielded);
      break;
    }
    case Outcome::Kind::kReturned: {
      v1::Value* returned = proto->mutable_returned();
      if (loud) wire::ToProto(value, returned);
      break;
    }
    case Outcome::Kind::kRaised: {
      v1::Exception* raised = proto->mutable_raised();
      if (loud) wire::ToProto(value.AsException(), raised);
      break;
    }
  }
}

absl::StatusOr<absl::Duration> ToDuration(const google::protobuf::Duration& proto, const char* parameter) {
  constexpr std::int64_t kMaxSeconds = 315'576'000'000;  // 10,000 years, as protobuf allows
  if (proto.seconds() < 0 || proto.nanos() < 0) {
    return Failed(Reason::INVALID_ARGUMENTS, std::string(parameter) + " is negative; 0 s means never",
                  {{"parameter", parameter}});
  }
  if (proto.seconds() > kMaxSeconds || proto.nanos() > 999'999'999) return InvalidTime(parameter);
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

absl::StatusOr<absl::Time> ToExpireTime(const google::protobuf::Timestamp& proto) {
  constexpr std::int64_t kMaxSeconds = 253'402'300'799;  // the end of the year 9999
  if (proto.seconds() < 0 || proto.seconds() > kMaxSeconds || proto.nanos() < 0 || proto.nanos() > 999'999'999) {
    return InvalidTime("expire_time");
  }
  if (proto.seconds() == 0 && proto.nanos() == 0) return absl::InfiniteFuture();
  return absl::UnixEpoch() + absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

absl::Status UnknownEnum(const char* parameter) {
  return Failed(Reason::INVALID_ARGUMENTS, std::string(parameter) + " has a value that this server does not know",
                {{"parameter", parameter}});
}

v1::ValueKind ToProto(SendsKind kind) {
  switch (kind) {
    case SendsKind::kText:
      return v1::VALUE_KIND_TEXT;
    case SendsKind::kBytes:
      return v1::VALUE_KIND_BYTES;
    case SendsKind::kNumber:
      return v1::VALUE_KIND_NUMBER;
    case SendsKind::kJson:
      return v1::VALUE_KIND_JSON;
  }
  return v1::VALUE_KIND_UNSPECIFIED;
}

}  // namespace

void ToProto(const SessionInfo& info, Detail detail, v1::Session* proto) {
  proto->set_session_id(std::string(LocalName(info.key.id)));
  proto->set_coroutine(info.coroutine);
  proto->set_version(info.version);
  proto->set_state(ToProto(info.state));
  proto->set_steps(info.steps);
  proto->mutable_labels()->insert(info.labels.begin(), info.labels.end());
  proto->set_durability(info.durable ? v1::DURABILITY_DURABLE : v1::DURABILITY_EPHEMERAL);
  google::protobuf::Duration* idle = proto->mutable_idle_timeout();
  if (info.idle_timeout != absl::InfiniteDuration()) {
    absl::Duration rest;
    idle->set_seconds(absl::IDivDuration(info.idle_timeout, absl::Seconds(1), &rest));
    idle->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
  }
  SetTime(info.create_time, proto->mutable_create_time());
  SetTime(info.last_used_time, proto->mutable_last_used_time());
  proto->set_earliest_step(info.earliest_step);
  proto->set_uid(info.key.uid);
  proto->set_live(info.live);
  if (info.problem) {
    ToFailure(ProblemStatus(info.key.id, *info.problem), proto->mutable_problem());
  }
  if (info.expire_time != absl::InfiniteFuture()) SetTime(info.expire_time, proto->mutable_expire_time());
  if (detail == Detail::kBasic) return;
  AddArguments(info, info.definition, proto->mutable_arguments());
  if (info.last_outcome) {
    ToProto(info.last_outcome->step, info.last_outcome->outcome, Loudness::kLoud, proto->mutable_last_outcome());
  }
}

void ToProto(const Reply& reply, Loudness loudness, v1::Outcome* proto) {
  proto->set_step(reply.step);
  if (reply.outcome) ToProto(reply.step, *reply.outcome, loudness, proto);
}

void ToProto(const StepEvent& event, const Head& head, const Definition* definition, v1::Event* proto) {
  const Record& record = event.record;
  proto->set_step(event.step);
  switch (record.operation) {
    case Operation::kSend:
      wire::ToProto(record.value, proto->mutable_send());
      break;
    case Operation::kThrow:
      wire::ToProto(record.value.AsException(), proto->mutable_throw_());
      break;
    case Operation::kClose:
    case Operation::kDelete:
      proto->mutable_close()->set_force(record.force);
      proto->set_cause(record.operation == Operation::kDelete ? v1::CLOSE_CAUSE_DELETE : ToProto(record.cause));
      break;
    case Operation::kCreate:
      proto->mutable_create()->set_coroutine(head.coroutine);
      proto->mutable_create()->set_version(head.version);
      proto->mutable_create()->set_session_id(std::string(LocalName(head.key.id)));
      proto->mutable_create()->set_prime(true);
      AddArguments(head, definition, proto->mutable_create()->mutable_arguments());
      break;
  }
  ToProto(event.step, event.outcome, Loudness::kLoud, proto->mutable_outcome());
  SetTime(record.time, proto->mutable_time());
  proto->set_request_id(record.request_id);
  proto->set_traceparent(event.traceparent);
}

void ToProto(const Created& created, v1::CreateResponse* proto) {
  ToProto(created.session->Describe(), Detail::kFull, proto->mutable_session());
  if (created.primed) ToProto(*created.primed, Loudness::kLoud, proto->mutable_outcome());
  proto->set_existed(created.existed);
  proto->set_replayed(created.replayed);
}

void ToProto(const Definition& definition, v1::Coroutine* proto) {
  proto->set_name(definition.name);
  proto->set_version(definition.version);
  proto->set_language(definition.language == Language::kLua ? v1::LANGUAGE_LUA : v1::LANGUAGE_NATIVE);
  proto->set_source(definition.source);
  proto->set_summary(definition.summary);
  proto->set_documentation(definition.documentation);
  for (const Parameter& parameter : definition.parameters) {
    v1::Parameter* to = proto->add_parameters();
    to->set_name(parameter.name);
    to->set_type(parameter.type_text);
    to->set_required(!parameter.default_value);
    if (parameter.default_value) wire::ToProto(*parameter.default_value, to->mutable_default_value());
    to->set_documentation(parameter.documentation);
  }
  proto->set_sends(definition.sends);
  proto->set_yields(definition.yields);
  proto->set_returns(definition.returns);
  proto->set_stops_when(definition.stops_when);
  proto->set_sends_kind(ToProto(definition.sends_kind));
  proto->set_restartable(definition.restartable);
}

absl::Status CheckRequestId(const std::string& request_id) {
  if (request_id.size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return Failed(Reason::INVALID_ARGUMENTS,
                "request_id has " + std::to_string(request_id.size()) + " bytes; at most " +
                    std::to_string(kMaxRequestIdBytes) + " are taken",
                {{"parameter", "request_id"}});
}

absl::StatusOr<CreateSpec> FromProto(const v1::CreateRequest& proto, const Caller& caller, const ValueLimits& limits) {
  if (absl::Status checked = CheckRequestId(proto.request_id()); !checked.ok()) return checked;
  CreateSpec spec;
  spec.owner = caller.owner();
  spec.coroutine = proto.coroutine();
  spec.version = proto.version();
  for (const auto& [name, argument] : proto.arguments()) {
    absl::StatusOr<Value> value = wire::FromProto(argument, limits);
    if (!value.ok()) return value.status();
    spec.arguments[name] = *std::move(value);
  }
  spec.session_id = caller.NewIdOf(proto.session_id());
  spec.prime = proto.prime();
  if (proto.has_idle_timeout()) {
    absl::StatusOr<absl::Duration> timeout = ToDuration(proto.idle_timeout(), "idle_timeout");
    if (!timeout.ok()) return timeout.status();
    spec.idle_timeout = *timeout;
  }
  switch (proto.durability()) {
    case v1::DURABILITY_UNSPECIFIED:
      break;
    case v1::DURABILITY_EPHEMERAL:
      spec.durability = Durability::kEphemeral;
      break;
    case v1::DURABILITY_DURABLE:
      spec.durability = Durability::kDurable;
      break;
    default:
      return UnknownEnum("durability");
  }
  spec.labels.insert(proto.labels().begin(), proto.labels().end());
  spec.request_id = proto.request_id();
  switch (proto.if_exists()) {
    case v1::IF_EXISTS_UNSPECIFIED:
    case v1::IF_EXISTS_FAIL:
      break;
    case v1::IF_EXISTS_RETURN:
      spec.if_exists = IfExists::kReturn;
      break;
    case v1::IF_EXISTS_REPLACE_FINISHED:
      spec.if_exists = IfExists::kReplaceFinished;
      break;
    default:
      return UnknownEnum("if_exists");
  }
  if (proto.has_expire_time()) {
    absl::StatusOr<absl::Time> expire_time = ToExpireTime(proto.expire_time());
    if (!expire_time.ok()) return expire_time.status();
    spec.expire_time = *expire_time;
  }
  return spec;
}

absl::StatusOr<ForkSpec> FromProto(const v1::ForkRequest& proto, const Caller& caller) {
  if (absl::Status checked = CheckRequestId(proto.request_id()); !checked.ok()) return checked;
  ForkSpec spec;
  spec.owner = caller.owner();
  spec.session_id = caller.IdOf(proto.session_id());
  if (proto.has_at_step()) spec.at_step = proto.at_step();
  spec.new_session_id = caller.NewIdOf(proto.new_session_id());
  spec.labels = Labels(proto.labels().begin(), proto.labels().end());
  spec.request_id = proto.request_id();
  return spec;
}

absl::StatusOr<ListQuery> FromProto(const v1::ListRequest& proto, const Caller& caller) {
  ListQuery query;
  query.name_space = caller.name_space();
  query.page_token = proto.page_token();
  query.coroutine = proto.coroutine();
  query.labels.insert(proto.labels().begin(), proto.labels().end());
  query.has_problem = proto.has_problem();
  switch (proto.state()) {
    case v1::STATE_UNSPECIFIED:
      break;
    case v1::STATE_CREATED:
      query.state = CoroutineState::kCreated;
      break;
    case v1::STATE_SUSPENDED:
      query.state = CoroutineState::kSuspended;
      break;
    case v1::STATE_RUNNING:
      query.state = CoroutineState::kRunning;
      break;
    case v1::STATE_CLOSED:
      query.state = CoroutineState::kClosed;
      break;
    default:
      return UnknownEnum("state");
  }
  return query;
}

absl::StatusOr<Session::Changes> FromProto(const v1::UpdateRequest& proto) {
  Session::Changes changes;
  changes.labels.insert(proto.labels().begin(), proto.labels().end());
  changes.remove_labels.assign(proto.remove_labels().begin(), proto.remove_labels().end());
  if (proto.has_idle_timeout()) {
    absl::StatusOr<absl::Duration> timeout = ToDuration(proto.idle_timeout(), "idle_timeout");
    if (!timeout.ok()) return timeout.status();
    changes.idle_timeout = *timeout;
  }
  if (proto.has_expire_time()) {
    absl::StatusOr<absl::Time> expire_time = ToExpireTime(proto.expire_time());
    if (!expire_time.ok()) return expire_time.status();
    changes.expire_time = *expire_time;
  }
  return changes;
}

absl::StatusOr<std::size_t> PageSize(std::int32_t asked) {
  if (asked < 0) {
    return Failed(Reason::INVALID_ARGUMENTS, "page_size is negative; 0 asks for the default",
                  {{"parameter", "page_size"}});
  }
  return static_cast<std::size_t>(asked == 0 ? kDefaultPage : std::min(asked, kMaxPage));
}

std::string TraceparentOf(const grpc::ServerContextBase& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return {};
  const std::string_view text(found->second.data(), found->second.size());
  // VERSION-TRACE-PARENT-FLAGS, in small hexadecimal digits; a later version may go on behind a '-'.
  constexpr std::string_view kForm = "00-00000000000000000000000000000000-0000000000000000-00";
  const bool goes_on = text.size() > kForm.size() && text[kForm.size()] == '-' && !text.starts_with("00-");
  if (text.size() < kForm.size() || (text.size() > kForm.size() && !goes_on)) return {};
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool is_digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (kForm[i] == '-' ? text[i] != '-' : !is_digit) return {};
  }
  return text.starts_with("ff-") ? std::string() : std::string(text.substr(0, kForm.size()));
}

absl::Time ToTime(std::chrono::system_clock::time_point deadline) {
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture() : absl::FromChrono(deadline);
}

}  // namespace corod::rpc
