#include "server/wire/value_codec.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "server/base/failure.h"
#include "server/coroutine/map.h"

namespace corod::wire {
namespace {

constexpr int kMaxLevels = 16;
constexpr int kMaxExceptions = 64;
constexpr std::size_t kMaxTypeBytes = 256;

absl::Status TooDeep(const ValueLimits& limits) {
  return Failed(Reason::VALUE_TOO_DEEP,
                "the value nests more than " + std::to_string(limits.max_depth) + " deep; flatten it",
                {{"max_depth", std::to_string(limits.max_depth)}});
}

// A class name: no spaces or control characters, so that it prints as one word.
bool IsTypeName(const std::string& type) {
  return !type.empty() && type.size() <= kMaxTypeBytes && std::none_of(type.begin(), type.end(), [](char c) {
    return absl::ascii_isspace(c) || absl::ascii_iscntrl(c);
  });
}

// Decodes one request's value. `depth`: how many lists, maps and exceptions stand around.
class Decoder {
 public:
  explicit Decoder(const ValueLimits& limits) : limits_(limits) {}

  absl::StatusOr<Value> Decode(const v1::Value& proto, int depth) {
    switch (proto.kind_case()) {
      case v1::Value::kBoolean:
        return Value(proto.boolean());
      case v1::Value::kInteger:
        return Value(static_cast<std::int64_t>(proto.integer()));
      case v1::Value::kNumber:
        return Value(proto.number());
      case v1::Value::kText:
        return Value(proto.text());
      case v1::Value::kBlob:
        return Value::Blob(proto.blob());
      case v1::Value::kList:
        return DecodeList(proto.list(), depth + 1);
      case v1::Value::kMap:
        return DecodeMap(proto.map(), depth + 1);
      case v1::Value::kMessage:
        return Value(Message{proto.message().type_url(), proto.message().value()});
      case v1::Value::kException: {
        absl::StatusOr<Exception> exception = DecodeException(proto.exception(), depth + 1, 1);
        if (!exception.ok()) return exception.status();
        return Value(*exception);
      }
      case v1::Value::KIND_NOT_SET:
        break;
    }
    return Value();
  }

  // `depth_per_link`: how much deeper its cause and context stand; 0 where the chain does not count.
  absl::StatusOr<Exception> DecodeException(const v1::Exception& proto, int depth, int depth_per_link) {
    if (depth > limits_.max_depth) return TooDeep(limits_);
    if (!IsTypeName(proto.type())) {
      return Failed(Reason::INVALID_EXCEPTION,
                    proto.type().empty() ? "the exception has no type; give the name of its class, \"ValueError\" say"
                                         : "the exception's type is not the name of a class");
    }
    ++exceptions_;
    absl::StatusOr<List> arguments = DecodeItems(proto.arguments(), depth);
    if (!arguments.ok()) return arguments.status();
    Exception exception(proto.type(), *std::move(arguments), {proto.bases().begin(), proto.bases().end()});
    if (!proto.message().empty()) exception.SetMessage(proto.message());
    for (const std::string& note : proto.notes()) exception.AddNote(note);
    exception.SetTraceback(proto.traceback());
    ++level_;
    const bool ends_here = level_ >= kMaxLevels;
    const auto link = [&](const v1::Exception& next, const char* what) -> absl::StatusOr<std::optional<Exception>> {
      if (ends_here || exceptions_ >= kMaxExceptions) {
        exception.AddNote(std::string(what) + " left out: " + next.type() + ": " + next.message());
        return std::optional<Exception>();
      }
      absl::StatusOr<Exception> decoded = DecodeException(next, depth + depth_per_link, depth_per_link);
      if (!decoded.ok()) return decoded.status();
      return std::optional<Exception>(*decoded);
    };
    absl::StatusOr<std::optional<Exception>> cause = std::optional<Exception>();
    absl::StatusOr<std::optional<Exception>> context = std::optional<Exception>();
    if (proto.has_cause()) cause = link(proto.cause(), "cause");
    if (proto.has_context() && cause.ok()) context = link(proto.context(), "context");
    --level_;
    if (!cause.ok()) return cause.status();
    if (!context.ok()) return context.status();
    if (*cause) exception.SetCause(**cause);
    if (*context) exception.SetContext(**context);
    if (*cause && proto.context_is_cause()) exception.SetContext(**cause);
    exception.SetSuppressContext(proto.suppress_context());
    return exception;
  }

 private:
  template <typename Items>
  absl::StatusOr<List> DecodeItems(const Items& protos, int depth) {
    List items;
    items.reserve(static_cast<std::size_t>(protos.size()));
    for (const v1::Value& proto : protos) {
      absl::StatusOr<Value> item = Decode(proto, depth);
      if (!item.ok()) return item.status();
      items.push_back(*std::move(item));
    }
    return items;
  }

  absl::StatusOr<Value> DecodeList(const v1::ListValue& proto, int depth) {
    if (depth > limits_.max_depth) return TooDeep(limits_);
    absl::StatusOr<List> items = DecodeItems(proto.items(), depth);
    if (!items.ok()) return items.status();
    return Value(*std::move(items));
  }

  absl::StatusOr<Value> DecodeMap(const v1::MapValue& proto, int depth) {
    if (depth > limits_.max_depth) return TooDeep(limits_);
    Map map;
    for (const v1::MapValue::Entry& entry : proto.entries()) {
      absl::StatusOr<Value> value = Decode(entry.value(), depth);
      if (!value.ok()) return value.status();
      map[entry.key()] = *std::move(value);
    }
    return Value(std::move(map));
  }

  const ValueLimits& limits_;
  int level_ = 0;
  int exceptions_ = 0;
};

template <typename Proto>
absl::Status CheckSize(const Proto& proto, const ValueLimits& limits) {
  const std::size_t bytes = proto.ByteSizeLong();
  if (bytes <= limits.max_bytes) return absl::OkStatus();
  return Failed(Reason::VALUE_TOO_LARGE,
                "the value has " + std::to_string(bytes) + " bytes; at most " + std::to_string(limits.max_bytes) +
                    " are taken, send it in parts",
                {{"bytes", std::to_string(bytes)}, {"max_bytes", std::to_string(limits.max_bytes)}});
}

}  // namespace

void ToProto(const Value& value, v1::Value* proto) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      proto->clear_kind();
      break;
    case Value::Kind::kBoolean:
      proto->set_boolean(value.AsBoolean());
      break;
    case Value::Kind::kInteger:
      proto->set_integer(value.AsInteger());
      break;
    case Value::Kind::kNumber:
      proto->set_number(value.AsNumber());
      break;
    case Value::Kind::kText:
      proto->set_text(value.AsText());
      break;
    case Value::Kind::kBlob:
      proto->set_blob(value.AsBlob());
      break;
    case Value::Kind::kList: {
      v1::ListValue* list = proto->mutable_list();
      for (const Value& item : value.AsList()) ToProto(item, list->add_items());
      break;
    }
    case Value::Kind::kMap: {
      v1::MapValue* map = proto->mutable_map();
      for (const Map::Entry& entry : value.AsMap()) {
        v1::MapValue::Entry* to = map->add_entries();
        to->set_key(entry.key);
        if (!entry.value.is_null()) ToProto(entry.value, to->mutable_value());
      }
      break;
    }
    case Value::Kind::kMessage:
      proto->mutable_message()->set_type_url(value.AsMessage().type_url);
      proto->mutable_message()->set_value(value.AsMessage().payload);
      break;
    case Value::Kind::kException:
      ToProto(value.AsException(), proto->mutable_exception());
      break;
  }
}

void ToProto(const Exception& exception, v1::Exception* proto) {
  proto->set_type(exception.type());
  proto->set_message(exception.message());
  for (const Value& argument : exception.arguments()) ToProto(argument, proto->add_arguments());
  for (const std::string& base : exception.bases()) proto->add_bases(base);
  for (const std::string& note : exception.notes()) proto->add_notes(note);
  proto->set_traceback(exception.traceback());
  proto->set_suppress_context(exception.suppress_context());
  const std::optional<Exception> cause = exception.cause();
  const std::optional<Exception> context = exception.context();
  if (cause) ToProto(*cause, proto->mutable_cause());
  if (cause && context && context->Is(*cause)) {
    proto->set_context_is_cause(true);
  } else if (context) {
    ToProto(*context, proto->mutable_context());
  }
}

absl::StatusOr<Value> FromProto(const v1::Value& proto, const ValueLimits& limits) {
  if (absl::Status size = CheckSize(proto, limits); !size.ok()) return size;
  return Decoder(limits).Decode(proto, 0);
}

absl::StatusOr<Exception> FromProto(const v1::Exception& proto, const ValueLimits& limits) {
  if (absl::Status size = CheckSize(proto, limits); !size.ok()) return size;
  return Decoder(limits).DecodeException(proto, 0, 0);
}

}  // namespace corod::wire
