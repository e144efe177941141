#ifndef COROD_SERVER_BASE_COMPACT_TEXT_H_
#define COROD_SERVER_BASE_COMPACT_TEXT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace corod {

// An unchanging text in 16 bytes, for what there are millions of: a UUID (36 characters in lower case, RFC 9562
// variant) and a text of up to 15 bytes take nothing besides, any other one lies on the heap. Movable.
//
// A Key is the same without owning anything: for looking up.
class CompactText {
 public:
  // Room for the text of what is not stored as text.
  using Buffer = std::array<char, 36>;

  class Key {
   public:
    // Refers to `text`.
    explicit Key(std::string_view text) noexcept;
    Key() noexcept : Key(std::string_view()) {}

    std::size_t hash() const noexcept {
      return text_.data() ? std::hash<std::string_view>()(text_) : Mix(high_ ^ Mix(low_));
    }
    friend bool operator==(const Key& a, const Key& b) noexcept {
      return a.high_ == b.high_ && a.low_ == b.low_ && (a.text_.data() == b.text_.data() || a.text_ == b.text_);
    }

   private:
    friend class CompactText;
    static std::uint64_t Mix(std::uint64_t bits) noexcept {
      bits = (bits ^ bits >> 32) * 0xd6e8feb86659fd93ULL;
      return bits ^ bits >> 32;
    }
    Key(std::uint64_t high, std::uint64_t low, std::string_view text) noexcept : high_(high), low_(low), text_(text) {}

    std::uint64_t high_ = 0;
    std::uint64_t low_ = 0;
    std::string_view text_;  // of one that would lie on the heap
  };

  CompactText() noexcept : CompactText(std::string_view()) {}
  explicit CompactText(std::string_view text);
  CompactText(CompactText&& other) noexcept;
  CompactText& operator=(CompactText&& other) noexcept;
  ~CompactText();

  Key key() const noexcept {
    if (form() == kHeap) return {0, low_, heap()};
    return {high_, low_, {}};
  }
  // In `buffer` or not; valid while both live.
  std::string_view View(Buffer& buffer) const noexcept;
  std::string str() const;
  // Another one with the same text.
  CompactText Copy() const;

  // A UUID as its 16 bytes.
  using Uuid = std::array<char, 16>;
  bool IsUuid() const noexcept { return form() == kUuid; }
  // REQUIRES: it is one.
  Uuid uuid() const noexcept;
  // nullopt: such a text would not be stored as a UUID.
  static std::optional<CompactText> FromUuid(const Uuid& bytes) noexcept;

  friend bool operator==(const CompactText& a, const CompactText& b) noexcept { return a.key() == b.key(); }
  friend bool operator==(const CompactText& a, std::string_view b) noexcept { return a.key() == Key(b); }
  // The order of the texts.
  friend bool operator<(const CompactText& a, const CompactText& b) noexcept;

 private:
  // The two highest bits of low_ say what this is.
  enum Form : std::uint64_t {
    kHeap = 0,   // high_ is the address, low_ the length
    kShort = 1,  // the next four bits are the length, the last byte of low_ is the first of the text
    kUuid = 2,   // where a UUID has its variant, which is 2
  };
  Form form() const noexcept { return static_cast<Form>(low_ >> 62); }
  std::string_view heap() const noexcept {
    return {reinterpret_cast<const char*>(high_), static_cast<std::size_t>(low_)};  // NOLINT(performance-no-int-to-ptr)
  }

  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

static_assert(sizeof(CompactText) == 16);
static_assert(std::endian::native == std::endian::little, "a short text lies in the order of its bytes");

}  // namespace corod

#endif  // COROD_SERVER_BASE_COMPACT_TEXT_H_
