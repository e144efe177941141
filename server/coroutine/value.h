#ifndef COROD_SERVER_COROUTINE_VALUE_H_
#define COROD_SERVER_COROUTINE_VALUE_H_

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

// A class that may be moved by copying its bytes is passed and returned in registers, as a pointer would be.
#if __has_cpp_attribute(clang::trivial_abi)
#define COROD_TRIVIAL_ABI [[clang::trivial_abi]]
#else
#define COROD_TRIVIAL_ABI
#endif

namespace corod {

class Value;
class Map;
class Exception;
class HeldMemory;

using List = std::vector<Value>;

// A typed protobuf payload, passed through untouched (google.protobuf.Any).
struct Message {
  std::string type_url;
  std::string payload;

  friend bool operator==(const Message&, const Message&) = default;
};

namespace internal {

// What a Value of more than 8 bytes points to. Shared by copies of the Value, counted.
struct Node {
  std::atomic<std::uint32_t> references{1};
};

}  // namespace internal

// What is sent to a coroutine and what it yields: null, a boolean, an integer, a number, text, bytes, a list, a map, a
// protobuf message or an exception. 16 bytes.
//
// Copies share what they hold; the Mutable accessors copy first when it is shared, so a Value never changes behind its
// holder's back. Distinct Values may be used from different threads, also when they share what they hold. The
// exception is the Exception kind: an Exception is one object for all its holders, as in Python.
//
// A local Value whose address goes nowhere stays in registers and takes no room in a coroutine's frame. So what bodies
// do in each step is inline, and what it calls takes a Value as such rather than by reference.
class COROD_TRIVIAL_ABI Value {
 public:
  enum class Kind : std::uint8_t {
    kNull,
    kBoolean,
    kInteger,
    kNumber,
    kText,  // this and all below are nodes
    kBlob,
    kList,
    kMap,
    kMessage,
    kException,
  };

  // Null, Python's None.
  Value() noexcept : integer_(0), kind_(Kind::kNull) {}
  Value(std::nullptr_t) noexcept : Value() {}  // NOLINT(google-explicit-constructor)

  template <std::same_as<bool> T>
  Value(T boolean) noexcept  // NOLINT(google-explicit-constructor)
      : integer_(boolean ? 1 : 0), kind_(Kind::kBoolean) {}

  // REQUIRES: `integer` fits into 64 bits with sign.
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  Value(T integer) noexcept  // NOLINT(google-explicit-constructor)
      : integer_(static_cast<std::int64_t>(integer)), kind_(Kind::kInteger) {}

  Value(double number) noexcept : number_(number), kind_(Kind::kNumber) {}  // NOLINT(google-explicit-constructor)

  // Text. REQUIRES: UTF-8; what is not is refused when it is yielded.
  Value(std::string text);       // NOLINT(google-explicit-constructor)
  Value(std::string_view text);  // NOLINT(google-explicit-constructor)
  Value(const char* text);       // NOLINT(google-explicit-constructor)

  Value(List list);                   // NOLINT(google-explicit-constructor)
  Value(Map map);                     // NOLINT(google-explicit-constructor)
  Value(Message message);             // NOLINT(google-explicit-constructor)
  Value(const Exception& exception);  // NOLINT(google-explicit-constructor)
  static Value Blob(std::string bytes);

  Value(const Value& other) noexcept : integer_(other.integer_), kind_(other.kind_) {
    if (IsNode()) node_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Value(Value&& other) noexcept : integer_(other.integer_), kind_(std::exchange(other.kind_, Kind::kNull)) {}
  Value& operator=(const Value& other) noexcept {
    Value copy(other);
    Swap(copy);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    Value moved(std::move(other));
    Swap(moved);
    return *this;
  }
  ~Value() {
    if (IsNode()) Release(node_, kind_);
  }

  // As assignment, without looking at what is there. REQUIRES: this is null.
  void Fill(Value&& other) noexcept {
    integer_ = other.integer_;
    kind_ = std::exchange(other.kind_, Kind::kNull);
  }

  Kind kind() const noexcept { return kind_; }
  bool is_null() const noexcept { return kind_ == Kind::kNull; }
  // Python's name of the type: "NoneType", "bool", "int", "float", "str", "bytes", "list", "dict", "ValueError". Valid
  // for as long as the value is not changed.
  std::string_view TypeName() const;

  // Python's truth value: false for null, false, 0, 0.0, and what is empty.
  bool IsTrue() const;

  // The value as that type. Raises py::TypeError if it is of another; the message says which type is wanted and which
  // came.
  bool AsBoolean() const {
    if (kind_ != Kind::kBoolean) RaiseNoBoolean(*this);
    return integer_ != 0;
  }
  // Accepts a boolean, as Python does.
  std::int64_t AsInteger() const {
    if (kind_ != Kind::kInteger && kind_ != Kind::kBoolean) RaiseNoInteger(*this);
    return integer_;
  }
  // Accepts an integer and a boolean, as Python does.
  double AsNumber() const {
    if (kind_ == Kind::kNumber) return number_;
    if (kind_ != Kind::kInteger && kind_ != Kind::kBoolean) RaiseNoNumber(*this);
    return static_cast<double>(integer_);
  }
  const std::string& AsText() const;
  const std::string& AsBlob() const;
  const List& AsList() const;
  const Map& AsMap() const;
  const Message& AsMessage() const;
  Exception AsException() const;

  // For changing in place; copies what is shared first. Raises py::TypeError as the accessors above.
  List& MutableList();
  Map& MutableMap();

  // For what there are millions of: what it holds, without the padding. FromParts takes over what Release gave up;
  // parts that nobody takes over leak.
  struct Parts {
    std::uint64_t bits = 0;
    Kind kind = Kind::kNull;
  };
  Parts Release() && noexcept {
    Parts parts{0, std::exchange(kind_, Kind::kNull)};
    std::memcpy(&parts.bits, &integer_, sizeof(parts.bits));
    return parts;
  }
  static Value FromParts(Parts parts) noexcept {
    Value value;
    value.kind_ = parts.kind;
    std::memcpy(&value.integer_, &parts.bits, sizeof(parts.bits));
    return value;
  }

  // The same kind and the same content: 1, 1.0 and true differ; all NaNs are equal, 0.0 and -0.0 differ; maps are
  // compared in order; exceptions by content (not by identity, and without traceback).
  friend bool operator==(const Value& a, const Value& b);

 private:
  friend class HeldMemory;
  bool IsNode() const noexcept { return kind_ >= Kind::kText; }
  void Swap(Value& other) noexcept {
    std::swap(integer_, other.integer_);
    std::swap(kind_, other.kind_);
  }
  static void Release(internal::Node* node, Kind kind) noexcept;
  [[noreturn]] static void RaiseNoBoolean(Value value);
  [[noreturn]] static void RaiseNoInteger(Value value);
  [[noreturn]] static void RaiseNoNumber(Value value);
  Value(internal::Node* node, Kind kind) noexcept : node_(node), kind_(kind) {}

  union {
    std::int64_t integer_;  // also the boolean
    double number_;
    internal::Node* node_;
  };
  Kind kind_;
};

static_assert(sizeof(Value) == 16);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_VALUE_H_
