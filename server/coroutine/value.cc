#include "server/coroutine/value.h"

#include <bit>
#include <cmath>
#include <string>

#include "server/coroutine/errors.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

template <typename T>
struct Holder : internal::Node {
  explicit Holder(T held) : content(std::move(held)) {}
  T content;
};

using TextNode = Holder<std::string>;  // also a blob's
using ListNode = Holder<List>;
using MapNode = Holder<Map>;
using MessageNode = Holder<Message>;

[[noreturn]] void RaiseWrongType(std::string_view wanted, const Value& value) {
  throw py::TypeError("expected " + std::string(wanted) + ", not " + std::string(value.TypeName()));
}

}  // namespace

Value::Value(std::string text) : Value(new TextNode(std::move(text)), Kind::kText) {}
Value::Value(std::string_view text) : Value(std::string(text)) {}
Value::Value(const char* text) : Value(std::string(text)) {}
Value::Value(List list) : Value(new ListNode(std::move(list)), Kind::kList) {}
Value::Value(Map map) : Value(new MapNode(std::move(map)), Kind::kMap) {}
Value::Value(Message message) : Value(new MessageNode(std::move(message)), Kind::kMessage) {}

Value Value::Blob(std::string bytes) { return Value(new TextNode(std::move(bytes)), Kind::kBlob); }

void Value::Release(internal::Node* node, Kind kind) noexcept {
  if (node->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  switch (kind) {
    case Kind::kText:
    case Kind::kBlob:
      delete static_cast<TextNode*>(node);
      break;
    case Kind::kList:
      delete static_cast<ListNode*>(node);
      break;
    case Kind::kMap:
      delete static_cast<MapNode*>(node);
      break;
    case Kind::kMessage:
      delete static_cast<MessageNode*>(node);
      break;
    case Kind::kException:
      Exception::Destroy(node);
      break;
    case Kind::kNull:
    case Kind::kBoolean:
    case Kind::kInteger:
    case Kind::kNumber:
      break;
  }
}

std::string_view Value::TypeName() const {
  switch (kind_) {
    case Kind::kNull:
      return "NoneType";
    case Kind::kBoolean:
      return "bool";
    case Kind::kInteger:
      return "int";
    case Kind::kNumber:
      return "float";
    case Kind::kText:
      return "str";
    case Kind::kBlob:
      return "bytes";
    case Kind::kList:
      return "list";
    case Kind::kMap:
      return "dict";
    case Kind::kMessage:
      return "Any";
    case Kind::kException: {
      const std::string_view type = AsException().type();
      return type.substr(type.rfind('.') + 1);
    }
  }
  return "object";
}

bool Value::IsTrue() const {
  switch (kind_) {
    case Kind::kNull:
      return false;
    case Kind::kBoolean:
    case Kind::kInteger:
      return integer_ != 0;
    case Kind::kNumber:
      return number_ != 0;
    case Kind::kText:
    case Kind::kBlob:
      return !static_cast<TextNode*>(node_)->content.empty();
    case Kind::kList:
      return !AsList().empty();
    case Kind::kMap:
      return !AsMap().empty();
    case Kind::kMessage:
    case Kind::kException:
      return true;
  }
  return true;
}

void Value::RaiseNoBoolean(Value value) { RaiseWrongType("bool", value); }

void Value::RaiseNoInteger(Value value) {
  throw py::TypeError("'" + std::string(value.TypeName()) + "' object cannot be interpreted as an integer");
}

void Value::RaiseNoNumber(Value value) {
  throw py::TypeError("must be real number, not " + std::string(value.TypeName()));
}

const std::string& Value::AsText() const {
  if (kind_ != Kind::kText) RaiseWrongType("str", *this);
  return static_cast<TextNode*>(node_)->content;
}

const std::string& Value::AsBlob() const {
  if (kind_ != Kind::kBlob) RaiseWrongType("bytes", *this);
  return static_cast<TextNode*>(node_)->content;
}

const List& Value::AsList() const {
  if (kind_ != Kind::kList) RaiseWrongType("list", *this);
  return static_cast<ListNode*>(node_)->content;
}

const Map& Value::AsMap() const {
  if (kind_ != Kind::kMap) RaiseWrongType("dict", *this);
  return static_cast<MapNode*>(node_)->content;
}

const Message& Value::AsMessage() const {
  if (kind_ != Kind::kMessage) RaiseWrongType("Any", *this);
  return static_cast<MessageNode*>(node_)->content;
}

List& Value::MutableList() {
  if (kind_ != Kind::kList) RaiseWrongType("list", *this);
  if (node_->references.load(std::memory_order_acquire) != 1) *this = Value(AsList());
  return static_cast<ListNode*>(node_)->content;
}

Map& Value::MutableMap() {
  if (kind_ != Kind::kMap) RaiseWrongType("dict", *this);
  if (node_->references.load(std::memory_order_acquire) != 1) *this = Value(AsMap());
  return static_cast<MapNode*>(node_)->content;
}

bool operator==(const Value& a, const Value& b) {
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Value::Kind::kNull:
      return true;
    case Value::Kind::kBoolean:
    case Value::Kind::kInteger:
      return a.integer_ == b.integer_;
    case Value::Kind::kNumber:
      return std::bit_cast<std::uint64_t>(a.number_) == std::bit_cast<std::uint64_t>(b.number_) ||
             (std::isnan(a.number_) && std::isnan(b.number_));
    case Value::Kind::kText:
    case Value::Kind::kBlob:
      return static_cast<TextNode*>(a.node_)->content == static_cast<TextNode*>(b.node_)->content;
    case Value::Kind::kList:
      return a.AsList() == b.AsList();
    case Value::Kind::kMap:
      return a.AsMap() == b.AsMap();
    case Value::Kind::kMessage:
      return a.AsMessage() == b.AsMessage();
    case Value::Kind::kException:
      return a.AsException() == b.AsException();
  }
  return false;
}

}  // namespace corod
