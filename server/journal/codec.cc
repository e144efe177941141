#include "server/journal/codec.h"

#include <zlib.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "corod/journal/v1/journal.pb.h"
#include "server/base/crc32c.h"
#include "server/coroutine/limits.h"
#include "server/journal/plain_batch.h"
#include "server/wire/parse.h"
#include "server/wire/value_codec.h"

namespace corod {
namespace {

namespace proto = journal::v1;

// Version 1 had a CRC-32 instead of the CRC-32C. Version 3 is of what an older corod must not overlook: events of the
// catalog, and heads that name a revision of it; its checksum is also that of the version itself. All else is written
// as it was, so that an older corod can import it.
constexpr char kFormatVersion = 3;
constexpr char kVersionWithoutCatalog = 2;
constexpr std::size_t kFrameBytes = 5;

// What is in a journal was within the limits when it came; they may be others now.
constexpr ValueLimits kNoLimits{.max_depth = 200, .max_bytes = std::numeric_limits<std::size_t>::max()};

std::uint32_t Checksum(int version, std::string_view bytes) {
  if (version >= 3) {
    const char first = static_cast<char>(version);
    return Crc32c(bytes, Crc32c({&first, 1}));
  }
  if (version == 2) return Crc32c(bytes);
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// The lowest version that has all that is in the message.
template <typename Proto>
char VersionOf(const Proto&) {
  return kVersionWithoutCatalog;
}
char VersionOf(const proto::CatalogEvent&) { return kFormatVersion; }
char VersionOf(const proto::Head& head) {
  return head.catalog_revision() == 0 ? kVersionWithoutCatalog : kFormatVersion;
}
char VersionOf(const proto::ExportItem& item) { return VersionOf(item.head()); }

// Fills in what stands before the message at the end of `bytes`, which begins at `at`, with room for that.
void FinishFrame(char version, std::size_t at, std::string& bytes) {
  const std::uint32_t checksum = Checksum(version, std::string_view(bytes).substr(at + kFrameBytes));
  bytes[at] = version;
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i + 1] = static_cast<char>(checksum >> (8 * i));
}

template <typename Proto>
void AppendFramed(const Proto& message, std::string& to) {
  const std::size_t at = to.size();
  to.append(kFrameBytes, '\0');
  message.AppendToString(&to);
  FinishFrame(VersionOf(message), at, to);
}

template <typename Proto>
std::string Frame(const Proto& message) {
  std::string bytes;
  AppendFramed(message, bytes);
  return bytes;
}

absl::Status Damaged(const char* what, const char* why) {
  return absl::DataLossError(absl::StrCat("a ", what, " in the journal is damaged: ", why));
}

// The message.
absl::StatusOr<std::string_view> Unframe(std::string_view bytes, const char* what) {
  if (bytes.size() < kFrameBytes) return Damaged(what, "it is cut off");
  const auto version = static_cast<std::uint8_t>(bytes[0]);
  if (version > kFormatVersion) {
    return absl::DataLossError(absl::StrCat("a ", what, " in the journal was written by a newer corod (format version ",
                                            version, "; this one knows ", static_cast<int>(kFormatVersion), ")"));
  }
  if (version < 1) return Damaged(what, "it has no format version");
  std::uint32_t checksum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    checksum |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[i + 1])) << (8 * i);
  }
  bytes.remove_prefix(kFrameBytes);
  if (checksum != Checksum(version, bytes)) return Damaged(what, "its checksum is wrong");
  return bytes;
}

std::int64_t ToNanos(absl::Time time) { return absl::ToUnixNanos(time); }
absl::Time FromNanos(std::int64_t nanos) { return absl::FromUnixNanos(nanos); }

void ToProto(const BatchId& id, proto::BatchId* to) {
  to->set_number(id.number);
  to->set_writer(id.writer);
}
BatchId FromProto(const proto::BatchId& id) { return {id.number(), id.writer()}; }

void ToProto(Step step, const Outcome& outcome, v1::Outcome* to) {
  to->set_step(step);
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      wire::ToProto(outcome.value, to->mutable_yielded());
      break;
    case Outcome::Kind::kReturned:
      wire::ToProto(outcome.value, to->mutable_returned());
      break;
    case Outcome::Kind::kRaised:
      wire::ToProto(outcome.value.AsException(), to->mutable_raised());
      break;
  }
}

// Decodes one message; the first thing that is wrong ends up in status().
class Decoder {
 public:
  explicit Decoder(const char* what) : what_(what) {}

  const absl::Status& status() const { return status_; }

  Value DecodeValue(const v1::Value& from) {
    absl::StatusOr<Value> value = wire::FromProto(from, kNoLimits);
    if (value.ok()) return *std::move(value);
    Fail(std::string(value.status().message()).c_str());
    return {};
  }
  Value DecodeException(const v1::Exception& from) {
    const absl::StatusOr<Exception> exception = wire::FromProto(from, kNoLimits);
    if (exception.ok()) return Value(*exception);
    Fail(std::string(exception.status().message()).c_str());
    return {};
  }
  StepOutcome DecodeOutcome(const v1::Outcome& from) {
    switch (from.result_case()) {
      case v1::Outcome::kYielded:
        return {from.step(), {DecodeValue(from.yielded()), Outcome::Kind::kYielded}};
      case v1::Outcome::kReturned:
        return {from.step(), {DecodeValue(from.returned()), Outcome::Kind::kReturned}};
      case v1::Outcome::kRaised:
        return {from.step(), {DecodeException(from.raised()), Outcome::Kind::kRaised}};
      case v1::Outcome::RESULT_NOT_SET:
        break;
    }
    Fail("an outcome is missing");
    return {};
  }
  CloseCause DecodeCause(v1::CloseCause from) {
    switch (from) {
      case v1::CLOSE_CAUSE_CLIENT:
        return CloseCause::kClient;
      case v1::CLOSE_CAUSE_IDLE:
        return CloseCause::kIdle;
      case v1::CLOSE_CAUSE_EXPIRED:
        return CloseCause::kExpired;
      case v1::CLOSE_CAUSE_DRAIN:
        return CloseCause::kDrain;
      case v1::CLOSE_CAUSE_DELETE:
        return CloseCause::kDelete;
      default:
        Fail("it has an unknown cause of a close");
        return {};
    }
  }
  Record DecodeRecord(const proto::Record& from) {
    Record record;
    switch (from.operation_case()) {
      case proto::Record::kSend:
        record.operation = Operation::kSend;
        record.value = DecodeValue(from.send());
        break;
      case proto::Record::kThrow:
        record.operation = Operation::kThrow;
        record.value = DecodeException(from.throw_());
        break;
      case proto::Record::kClose:
        record.operation = Operation::kClose;
        record.force = from.close().force();
        record.cause = DecodeCause(from.close().cause());
        break;
      case proto::Record::kPrime:
        record.operation = Operation::kCreate;
        break;
      case proto::Record::kDelete:
        record.operation = Operation::kDelete;
        record.force = from.delete_().force();
        record.cause = DecodeCause(from.delete_().cause());
        break;
      case proto::Record::OPERATION_NOT_SET:
        Fail("it has an unknown operation");
        break;
    }
    record.request_id = from.request_id();
    record.fingerprint = from.fingerprint();
    record.time = FromNanos(from.time());
    return record;
  }
  Batch DecodeBatch(const proto::Batch& from) {
    Batch batch;
    batch.id = FromProto(from.id());
    batch.previous = FromProto(from.previous());
    batch.first_step = from.first_step();
    batch.digest = from.digest();
    batch.records.reserve(static_cast<std::size_t>(from.records_size()));
    for (const proto::Record& record : from.records()) batch.records.push_back(DecodeRecord(record));
    return batch;
  }
  CoroutineState DecodeState(v1::State from) {
    switch (from) {
      case v1::STATE_CREATED:
        return CoroutineState::kCreated;
      case v1::STATE_SUSPENDED:
        return CoroutineState::kSuspended;
      case v1::STATE_RUNNING:
        return CoroutineState::kRunning;
      case v1::STATE_CLOSED:
        return CoroutineState::kClosed;
      default:
        Fail("it has an unknown state");
        return {};
    }
  }
  Head DecodeHead(const proto::Head& from) {
    Head head;
    head.key = {from.session_id(), from.uid()};
    head.coroutine = from.coroutine();
    head.version = from.version();
    for (const v1::Value& argument : from.arguments()) head.arguments.push_back(DecodeValue(argument));
    head.create_time = FromNanos(from.create_time());
    head.create_request_id = from.create_request_id();
    head.create_fingerprint = from.create_fingerprint();
    head.create_primed = from.create_primed();
    head.seed = from.seed();
    head.labels = {from.labels().begin(), from.labels().end()};
    if (from.has_idle_timeout()) head.idle_timeout = absl::Nanoseconds(from.idle_timeout());
    if (from.has_expire_time()) head.expire_time = FromNanos(from.expire_time());
    head.steps = from.steps();
    head.state = DecodeState(from.state());
    if (from.has_last_outcome()) head.last_outcome = DecodeOutcome(from.last_outcome());
    head.last_used_time = FromNanos(from.last_used_time());
    if (from.has_finish_time()) head.finish_time = FromNanos(from.finish_time());
    head.digest = from.digest();
    head.earliest_step = from.earliest_step();
    if (from.has_problem()) {
      head.problem = SessionProblem{from.problem().reason(), from.problem().message(), from.problem().step()};
    }
    head.crashes = from.crashes();
    head.catalog_revision = from.catalog_revision();
    return head;
  }
  Checkpoint DecodeCheckpoint(const proto::Checkpoint& from) {
    Checkpoint checkpoint;
    checkpoint.step = from.step();
    checkpoint.after = FromProto(from.after());
    checkpoint.state = DecodeValue(from.state());
    checkpoint.digest = from.digest();
    checkpoint.outcome = DecodeOutcome(from.outcome()).outcome;
    checkpoint.ids.reserve(static_cast<std::size_t>(from.ids_size()));
    for (const proto::KnownId& id : from.ids()) {
      checkpoint.ids.push_back({id.request_id(), id.fingerprint(), id.step()});
    }
    checkpoint.time = FromNanos(from.time());
    return checkpoint;
  }
  Tombstone DecodeTombstone(const proto::Tombstone& from, std::string_view request_id) {
    Tombstone tombstone;
    tombstone.request_id = std::string(request_id);
    tombstone.fingerprint = from.fingerprint();
    tombstone.outcome = DecodeOutcome(from.outcome());
    tombstone.expire_time = FromNanos(from.expire_time());
    return tombstone;
  }
  CatalogEvent::Kind DecodeKind(proto::CatalogEvent::Kind from) {
    switch (from) {
      case proto::CatalogEvent::KIND_NATIVE:
        return CatalogEvent::Kind::kNative;
      case proto::CatalogEvent::KIND_LUA:
        return CatalogEvent::Kind::kLua;
      case proto::CatalogEvent::KIND_REMOVED:
        return CatalogEvent::Kind::kRemoved;
      default:
        Fail("it is of an unknown kind");
        return {};
    }
  }
  CatalogEvent DecodeCatalogEvent(const proto::CatalogEvent& from) {
    CatalogEvent event;
    event.revision = from.revision();
    event.kind = DecodeKind(from.kind());
    event.name = from.name();
    event.version = from.version();
    event.source = from.source();
    event.documentation = from.documentation();
    event.time = FromNanos(from.time());
    return event;
  }

  void Fail(const char* why) {
    if (status_.ok()) status_ = Damaged(what_, why);
  }

 private:
  const char* const what_;
  absl::Status status_;
};

// The result of `decode(decoder, message)`, unless something is wrong. `bytes`: unframed.
template <typename T, typename Proto, typename Function>
absl::StatusOr<T> DecodeMessage(std::string_view bytes, const char* what, Function decode) {
  Proto message;
  if (!wire::Parse(bytes, &message)) return Damaged(what, "it cannot be parsed");
  Decoder decoder(what);
  T result = decode(decoder, message);
  if (!decoder.status().ok()) return decoder.status();
  return result;
}

template <typename T, typename Proto, typename Function>
absl::StatusOr<T> Decode(std::string_view bytes, const char* what, Function decode) {
  const absl::StatusOr<std::string_view> message = Unframe(bytes, what);
  if (!message.ok()) return message.status();
  return DecodeMessage<T, Proto>(*message, what, decode);
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

void ToProto(const Record& record, proto::Close* to) {
  to->set_force(record.force);
  to->set_cause(ToProto(record.cause));
}

void ToProto(const Record& record, proto::Record* to) {
  switch (record.operation) {
    case Operation::kSend:
      wire::ToProto(record.value, to->mutable_send());
      break;
    case Operation::kThrow:
      wire::ToProto(record.value.AsException(), to->mutable_throw_());
      break;
    case Operation::kClose:
      ToProto(record, to->mutable_close());
      break;
    case Operation::kCreate:
      to->mutable_prime();
      break;
    case Operation::kDelete:
      ToProto(record, to->mutable_delete_());
      break;
  }
  to->set_request_id(record.request_id);
  to->set_fingerprint(record.fingerprint);
  to->set_time(ToNanos(record.time));
}

void ToProto(const Batch& batch, proto::Batch* to) {
  ToProto(batch.id, to->mutable_id());
  if (batch.previous != BatchId()) ToProto(batch.previous, to->mutable_previous());
  to->set_first_step(batch.first_step);
  to->set_digest(batch.digest);
  for (const Record& record : batch.records) ToProto(record, to->add_records());
}

void ToProto(const Head& head, proto::Head* to) {
  to->set_session_id(head.key.id);
  to->set_uid(head.key.uid);
  to->set_coroutine(head.coroutine);
  to->set_version(head.version);
  for (const Value& argument : head.arguments) wire::ToProto(argument, to->add_arguments());
  to->set_create_time(ToNanos(head.create_time));
  to->set_create_request_id(head.create_request_id);
  to->set_create_fingerprint(head.create_fingerprint);
  to->set_create_primed(head.create_primed);
  to->set_seed(head.seed);
  to->mutable_labels()->insert(head.labels.begin(), head.labels.end());
  if (head.idle_timeout != absl::InfiniteDuration()) to->set_idle_timeout(absl::ToInt64Nanoseconds(head.idle_timeout));
  if (head.expire_time != absl::InfiniteFuture()) to->set_expire_time(ToNanos(head.expire_time));
  to->set_steps(head.steps);
  to->set_state(ToProto(head.state));
  if (head.last_outcome) ToProto(head.last_outcome->step, head.last_outcome->outcome, to->mutable_last_outcome());
  to->set_last_used_time(ToNanos(head.last_used_time));
  if (head.finish_time != absl::InfiniteFuture()) to->set_finish_time(ToNanos(head.finish_time));
  to->set_digest(head.digest);
  to->set_earliest_step(head.earliest_step);
  if (head.problem) {
    to->mutable_problem()->set_reason(head.problem->reason);
    to->mutable_problem()->set_message(head.problem->message);
    to->mutable_problem()->set_step(head.problem->step);
  }
  to->set_crashes(head.crashes);
  to->set_catalog_revision(head.catalog_revision);
}

void ToProto(const Checkpoint& checkpoint, proto::Checkpoint* to) {
  to->set_step(checkpoint.step);
  if (checkpoint.after != BatchId()) ToProto(checkpoint.after, to->mutable_after());
  wire::ToProto(checkpoint.state, to->mutable_state());
  to->set_digest(checkpoint.digest);
  ToProto(checkpoint.step, checkpoint.outcome, to->mutable_outcome());
  for (const KnownId& id : checkpoint.ids) {
    proto::KnownId* known = to->add_ids();
    known->set_request_id(id.request_id);
    known->set_fingerprint(id.fingerprint);
    known->set_step(id.step);
  }
  to->set_time(ToNanos(checkpoint.time));
}

proto::CatalogEvent::Kind ToProto(CatalogEvent::Kind kind) {
  switch (kind) {
    case CatalogEvent::Kind::kNative:
      return proto::CatalogEvent::KIND_NATIVE;
    case CatalogEvent::Kind::kLua:
      return proto::CatalogEvent::KIND_LUA;
    case CatalogEvent::Kind::kRemoved:
      return proto::CatalogEvent::KIND_REMOVED;
  }
  return proto::CatalogEvent::KIND_UNSPECIFIED;
}

void ToProto(const CatalogEvent& event, proto::CatalogEvent* to) {
  to->set_revision(event.revision);
  to->set_kind(ToProto(event.kind));
  to->set_name(event.name);
  to->set_version(event.version);
  to->set_source(event.source);
  to->set_documentation(event.documentation);
  to->set_time(ToNanos(event.time));
}

template <typename Proto, typename T>
std::string EncodeAs(const T& what) {
  Proto message;
  ToProto(what, &message);
  return Frame(message);
}

}  // namespace

void AppendEncoded(const Batch& batch, std::string& to) {
  if (const std::optional<std::size_t> size = plain_batch::SizeOf(batch)) {
    const std::size_t at = to.size();
    to.resize(at + kFrameBytes + *size);
    plain_batch::Write(batch, to.data() + at + kFrameBytes);
    FinishFrame(kVersionWithoutCatalog, at, to);
    return;
  }
  proto::Batch message;
  ToProto(batch, &message);
  AppendFramed(message, to);
}

std::string Encode(const Batch& batch) {
  std::string bytes;
  AppendEncoded(batch, bytes);
  return bytes;
}
std::string Encode(const Head& head) { return EncodeAs<proto::Head>(head); }
std::string Encode(const Checkpoint& checkpoint) { return EncodeAs<proto::Checkpoint>(checkpoint); }
std::string Encode(const CatalogEvent& event) { return EncodeAs<proto::CatalogEvent>(event); }

std::string Encode(const Tombstone& tombstone) {
  proto::Tombstone message;
  ToProto(tombstone.outcome.step, tombstone.outcome.outcome, message.mutable_outcome());
  message.set_fingerprint(tombstone.fingerprint);
  message.set_expire_time(ToNanos(tombstone.expire_time));
  return Frame(message);
}

std::string Encode(const ExportItem& item) {
  proto::ExportItem message;
  if (const auto* head = std::get_if<Head>(&item)) {
    ToProto(*head, message.mutable_head());
  } else if (const auto* checkpoint = std::get_if<Checkpoint>(&item)) {
    ToProto(*checkpoint, message.mutable_checkpoint());
  } else {
    ToProto(std::get<Batch>(item), message.mutable_batch());
  }
  return Frame(message);
}

absl::StatusOr<Batch> DecodeBatch(std::string_view bytes) {
  const absl::StatusOr<std::string_view> message = Unframe(bytes, "batch");
  if (!message.ok()) return message.status();
  if (std::optional<Batch> plain = plain_batch::Read(*message)) return *std::move(plain);
  return DecodeMessage<Batch, proto::Batch>(*message, "batch",
                                            [](Decoder& d, const auto& m) { return d.DecodeBatch(m); });
}

absl::StatusOr<Head> DecodeHead(std::string_view bytes) {
  return Decode<Head, proto::Head>(bytes, "head", [](Decoder& d, const auto& m) { return d.DecodeHead(m); });
}

absl::StatusOr<Checkpoint> DecodeCheckpoint(std::string_view bytes) {
  return Decode<Checkpoint, proto::Checkpoint>(bytes, "checkpoint",
                                               [](Decoder& d, const auto& m) { return d.DecodeCheckpoint(m); });
}

absl::StatusOr<Tombstone> DecodeTombstone(std::string_view bytes, std::string_view request_id) {
  return Decode<Tombstone, proto::Tombstone>(
      bytes, "tombstone", [request_id](Decoder& d, const auto& m) { return d.DecodeTombstone(m, request_id); });
}

absl::StatusOr<CatalogEvent> DecodeCatalogEvent(std::string_view bytes, std::uint64_t revision) {
  const std::string what = absl::StrCat("catalog event of revision ", revision);
  return Decode<CatalogEvent, proto::CatalogEvent>(bytes, what.c_str(), [revision](Decoder& d, const auto& m) {
    if (m.revision() != revision) d.Fail("it is another revision's");
    return d.DecodeCatalogEvent(m);
  });
}

absl::StatusOr<ExportItem> DecodeExportItem(std::string_view bytes) {
  return Decode<ExportItem, proto::ExportItem>(bytes, "exported item", [](Decoder& d, const auto& m) -> ExportItem {
    switch (m.item_case()) {
      case proto::ExportItem::kHead:
        return d.DecodeHead(m.head());
      case proto::ExportItem::kCheckpoint:
        return d.DecodeCheckpoint(m.checkpoint());
      case proto::ExportItem::kBatch:
        return d.DecodeBatch(m.batch());
      case proto::ExportItem::ITEM_NOT_SET:
        break;
    }
    d.Fail("it is of an unknown kind");
    return Head();
  });
}

}  // namespace corod
