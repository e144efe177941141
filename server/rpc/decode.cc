#include "server/rpc/decode.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "server/base/failure.h"
#include "server/coroutine/utf8.h"
#include "server/wire/parse.h"

namespace corod::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// One field of a serialized message.
struct Field {
  int number;
  WireFormatLite::WireType type;
  std::string_view whole;    // with its tag
  std::string_view content;  // of a field with a length
};

// Reads the fields of a message one after the other, without looking into them.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  // nullopt at the end, or where what follows is no field (see ok()).
  std::optional<Field> Next() {
    if (rest_.empty() || !ok_) return std::nullopt;
    CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(rest_.data()), static_cast<int>(rest_.size()));
    const std::uint32_t tag = stream.ReadTag();
    Field field{WireFormatLite::GetTagFieldNumber(tag), WireFormatLite::GetTagWireType(tag), {}, {}};
    ok_ = field.number > 0 && Skip(stream, field);
    if (!ok_) return std::nullopt;
    const auto end = static_cast<std::size_t>(stream.CurrentPosition());
    field.whole = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return field;
  }

  bool ok() const { return ok_; }

 private:
  bool Skip(CodedInputStream& stream, Field& field) const {
    std::uint64_t varint = 0;
    std::uint32_t length = 0;
    switch (field.type) {
      case WireFormatLite::WIRETYPE_VARINT:
        return stream.ReadVarint64(&varint);
      case WireFormatLite::WIRETYPE_FIXED64:
        return stream.Skip(8);
      case WireFormatLite::WIRETYPE_FIXED32:
        return stream.Skip(4);
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        if (!stream.ReadVarint32(&length)) return false;
        field.content = rest_.substr(static_cast<std::size_t>(stream.CurrentPosition())).substr(0, length);
        return field.content.size() == length && stream.Skip(static_cast<int>(length));
      default:
        return false;  // groups are not in proto3
    }
  }

  std::string_view rest_;
  bool ok_ = true;
};

// The id itself or, if it is not UTF-8 and could not be echoed, a text that is nobody's id.
std::string Readable(std::string_view id) {
  return IsUtf8(id) ? std::string(id) : absl::CHexEscape(absl::string_view(id.data(), id.size()));
}

// Whether messages nest deeper in `bytes` than the parser follows. Takes no native stack.
bool NestsTooDeep(std::string_view bytes, const Descriptor* type) {
  struct Level {
    FieldReader fields;
    const Descriptor* type;
  };
  std::vector<Level> levels;
  levels.push_back({FieldReader(bytes), type});
  while (!levels.empty()) {
    if (levels.size() > static_cast<std::size_t>(wire::kMaxNesting)) return true;
    Level& level = levels.back();
    const std::optional<Field> field = level.fields.Next();
    if (!field) {
      levels.pop_back();
      continue;
    }
    const FieldDescriptor* known = level.type->FindFieldByNumber(field->number);
    if (known && known->message_type() && field->type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      levels.push_back({FieldReader(field->content), known->message_type()});
    }
  }
  return false;
}

}  // namespace

absl::Status ParseRequest(std::string_view bytes, google::protobuf::Message* request) {
  if (wire::Parse(bytes, request)) return absl::OkStatus();
  if (NestsTooDeep(bytes, request->GetDescriptor())) {
    return Failed(Reason::VALUE_TOO_DEEP, "the value nests far deeper than values may; flatten it");
  }
  return Failed(Reason::INVALID_ARGUMENTS,
                "the request is not a " + request->GetDescriptor()->full_name() + " (is a text in it not UTF-8?)",
                {{"parameter", "request"}});
}

std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::string bytes;
  bytes.reserve(buffer.Length());
  std::vector<grpc::Slice> slices;
  // Only of a buffer that holds nothing is there nothing to dump.
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

grpc::ByteBuffer ToBuffer(std::string bytes) {
  constexpr std::size_t kSmall = 4'096;
  if (bytes.size() <= kSmall) {
    const grpc::Slice slice(bytes);
    return {&slice, 1};
  }
  auto* const owned = new std::string(std::move(bytes));
  const grpc::Slice slice(
      owned->data(), owned->size(), [](void* text) { delete static_cast<std::string*>(text); }, owned);
  return {&slice, 1};
}

absl::StatusOr<std::vector<std::string_view>> SplitCommands(std::string_view request) {
  std::vector<std::string_view> commands;
  FieldReader fields(request);
  while (const std::optional<Field> field = fields.Next()) {
    if (field->number == v1::DriveRequest::kCommandsFieldNumber &&
        field->type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      commands.push_back(field->content);
    }
  }
  if (fields.ok()) return commands;
  return Failed(Reason::INVALID_ARGUMENTS, "the message is not a corod.v1.DriveRequest", {{"parameter", "request"}});
}

v1::Command ParseWithoutOperation(std::string_view command) {
  std::string readable;
  std::string_view session_id;
  std::optional<std::string_view> create_id;
  const auto has_content = [](const Field& field) { return field.type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED; };
  FieldReader fields(command);
  while (const std::optional<Field> field = fields.Next()) {
    switch (field->number) {
      case v1::Command::kTagFieldNumber:
      case v1::Command::kResumeFieldNumber:
        readable.append(field->whole);
        break;
      case v1::Command::kSessionIdFieldNumber:
        if (has_content(*field)) session_id = field->content;
        break;
      case v1::Command::kCreateFieldNumber: {
        if (!has_content(*field)) break;
        create_id.emplace();
        FieldReader create(field->content);
        while (const std::optional<Field> part = create.Next()) {
          if (part->number == v1::CreateRequest::kSessionIdFieldNumber && has_content(*part)) create_id = part->content;
        }
        break;
      }
      default:
        break;
    }
  }
  v1::Command result;
  // If even that fails, the tag, which stands before what is wrong, is kept.
  (void)result.ParseFromString(readable);
  result.set_session_id(Readable(session_id));
  if (create_id) result.mutable_create()->set_session_id(Readable(*create_id));
  return result;
}

}  // namespace corod::rpc
