#include "server/base/compact_text.h"

#include <cstring>
#include <utility>

namespace corod {
namespace {

constexpr std::size_t kUuidLength = 36;
constexpr std::size_t kMaxShort = 15;

constexpr std::uint64_t Bytes(std::uint8_t byte) { return byte * 0x0101010101010101ULL; }

// Reads eight digits at once. `wrong` gets bits if one of them is no digit in lower case.
std::uint32_t ReadDigits(std::uint64_t digits, std::uint64_t& wrong) noexcept {
  const std::uint64_t values = (digits & Bytes(0x0f)) + 9 * (digits >> 6 & Bytes(0x01));
  const std::uint64_t letters = (values + Bytes(6)) >> 4 & Bytes(0x01);
  wrong |= (values & Bytes(0xf0)) | (digits ^ (values + Bytes('0') + ('a' - '0' - 10) * letters));
  std::uint64_t bytes = (values << 4 | values >> 8) & 0x00ff00ff00ff00ffULL;
  bytes = (bytes | bytes >> 8) & 0x0000ffff0000ffffULL;
  return __builtin_bswap32(static_cast<std::uint32_t>(bytes | bytes >> 16));
}

// The eight digits of a number, in lower case, as they lie in a text.
std::uint64_t WriteDigits(std::uint32_t number) noexcept {
  std::uint64_t values = (std::uint64_t{number} << 16 | number) & 0x0000ffff0000ffffULL;
  values = (values << 8 | values) & 0x00ff00ff00ff00ffULL;
  values = (values << 4 | values) & Bytes(0x0f);
  const std::uint64_t letters = (values + Bytes(6)) >> 4 & Bytes(0x01);
  return __builtin_bswap64(values + Bytes('0') + ('a' - '0' - 10) * letters);
}

// False if `text` is no UUID in its usual form.
bool ReadUuid(std::string_view text, std::uint64_t& high, std::uint64_t& low) noexcept {
  if (text.size() != kUuidLength || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') {
    return false;
  }
  const auto digits = [&text](std::size_t first, std::size_t then) {
    std::uint64_t both = 0;
    std::memcpy(&both, text.data() + first, 4);
    std::memcpy(reinterpret_cast<char*>(&both) + 4, text.data() + then, 4);
    return both;
  };
  std::uint64_t wrong = 0;
  const std::uint64_t first = std::uint64_t{ReadDigits(digits(0, 4), wrong)} << 32 | ReadDigits(digits(9, 14), wrong);
  const std::uint64_t second =
      std::uint64_t{ReadDigits(digits(19, 24), wrong)} << 32 | ReadDigits(digits(28, 32), wrong);
  if (wrong != 0 || second >> 62 != 2) return false;
  high = first;
  low = second;
  return true;
}

}  // namespace

CompactText::Key::Key(std::string_view text) noexcept {
  if (ReadUuid(text, high_, low_)) return;
  if (text.size() > kMaxShort) {
    low_ = text.size();
    text_ = text;
    return;
  }
  // The first seven bytes beside the length, the others in high_.
  std::array<char, 16> bytes{};
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  bytes[15] = static_cast<char>(std::uint64_t{kShort} << 6 | text.size());
  std::memcpy(&high_, bytes.data(), 8);
  std::memcpy(&low_, bytes.data() + 8, 8);
}

CompactText::CompactText(std::string_view text) {
  const Key key(text);
  high_ = key.high_;
  low_ = key.low_;
  if (!key.text_.data()) return;
  auto* bytes = new char[text.size()];
  std::memcpy(bytes, text.data(), text.size());
  high_ = reinterpret_cast<std::uint64_t>(bytes);
}

CompactText::CompactText(CompactText&& other) noexcept
    : high_(std::exchange(other.high_, 0)), low_(std::exchange(other.low_, 0)) {}

CompactText& CompactText::operator=(CompactText&& other) noexcept {
  std::swap(high_, other.high_);
  std::swap(low_, other.low_);
  return *this;
}

CompactText::~CompactText() {
  if (form() == kHeap) delete[] heap().data();
}

std::string_view CompactText::View(Buffer& buffer) const noexcept {
  switch (form()) {
    case kHeap:
      return heap();
    case kShort: {
      const std::size_t length = low_ >> 56 & kMaxShort;
      std::memcpy(buffer.data(), &high_, 8);
      std::memcpy(buffer.data() + 8, &low_, 8);
      return {buffer.data(), length};
    }
    case kUuid:
      break;
  }
  const auto write = [&buffer](std::size_t at, std::uint64_t digits, std::size_t first, std::size_t count) {
    digits >>= 8 * first;
    std::memcpy(buffer.data() + at, &digits, count);
  };
  const std::uint64_t middle = WriteDigits(static_cast<std::uint32_t>(high_));
  const std::uint64_t then = WriteDigits(static_cast<std::uint32_t>(low_ >> 32));
  write(0, WriteDigits(static_cast<std::uint32_t>(high_ >> 32)), 0, 8);
  write(9, middle, 0, 4);
  write(14, middle, 4, 4);
  write(19, then, 0, 4);
  write(24, then, 4, 4);
  write(28, WriteDigits(static_cast<std::uint32_t>(low_)), 0, 8);
  for (const std::size_t dash : {8, 13, 18, 23}) buffer[dash] = '-';
  return {buffer.data(), kUuidLength};
}

std::string CompactText::str() const {
  Buffer buffer;
  return std::string(View(buffer));
}

CompactText CompactText::Copy() const {
  if (form() == kHeap) return CompactText(heap());
  CompactText copy;
  copy.high_ = high_;
  copy.low_ = low_;
  return copy;
}

CompactText::Uuid CompactText::uuid() const noexcept {
  const std::uint64_t high = __builtin_bswap64(high_);
  const std::uint64_t low = __builtin_bswap64(low_);
  Uuid bytes;
  std::memcpy(bytes.data(), &high, sizeof(high));
  std::memcpy(bytes.data() + sizeof(high), &low, sizeof(low));
  return bytes;
}

std::optional<CompactText> CompactText::FromUuid(const Uuid& bytes) noexcept {
  CompactText text;
  std::memcpy(&text.high_, bytes.data(), sizeof(text.high_));
  std::memcpy(&text.low_, bytes.data() + sizeof(text.high_), sizeof(text.low_));
  text.high_ = __builtin_bswap64(text.high_);
  text.low_ = __builtin_bswap64(text.low_);
  if (text.form() == kUuid) return text;
  text.high_ = text.low_ = 0;  // owns nothing
  return std::nullopt;
}

bool operator<(const CompactText& a, const CompactText& b) noexcept {
  if (a.form() == CompactText::kUuid && b.form() == CompactText::kUuid) {
    return a.high_ != b.high_ ? a.high_ < b.high_ : a.low_ < b.low_;
  }
  CompactText::Buffer of_a;
  CompactText::Buffer of_b;
  return a.View(of_a) < b.View(of_b);
}

}  // namespace corod
