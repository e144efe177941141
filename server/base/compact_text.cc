#include "server/base/compact_text.h"

#include <cstring>
#include <utility>

namespace corod {
namespace {

constexpr std::size_t kUuidLength = 36;
constexpr std::size_t kMaxShort = 15;
constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> MakeDigits() {
  std::array<std::uint8_t, 256> digits{};
  for (std::uint8_t& digit : digits) digit = kNoDigit;
  for (std::uint8_t i = 0; i < 16; ++i) digits[static_cast<unsigned char>("0123456789abcdef"[i])] = i;
  return digits;
}
constexpr std::array<std::uint8_t, 256> kDigits = MakeDigits();

// Where the pairs of digits begin.
constexpr std::array<std::uint8_t, 16> kPairs = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

// False if `text` is no UUID in its usual form.
bool ReadUuid(std::string_view text, std::uint64_t& high, std::uint64_t& low) noexcept {
  if (text.size() != kUuidLength || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') {
    return false;
  }
  std::uint64_t bits[2] = {0, 0};
  std::uint8_t wrong = 0;
  for (std::size_t i = 0; i < kPairs.size(); ++i) {
    const std::uint8_t first = kDigits[static_cast<unsigned char>(text[kPairs[i]])];
    const std::uint8_t second = kDigits[static_cast<unsigned char>(text[kPairs[i] + 1])];
    wrong |= first | second;
    bits[i / 8] = bits[i / 8] << 8 | static_cast<std::uint64_t>(first & 15U) << 4 | (second & 15U);
  }
  if ((wrong & 0xf0U) != 0 || bits[1] >> 62 != 2) return false;
  high = bits[0];
  low = bits[1];
  return true;
}

std::uint64_t Mix(std::uint64_t bits) noexcept {
  bits = (bits ^ bits >> 32) * 0xd6e8feb86659fd93ULL;
  return bits ^ bits >> 32;
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

std::size_t CompactText::Key::hash() const noexcept {
  if (text_.data()) return std::hash<std::string_view>()(text_);
  return Mix(high_ ^ Mix(low_));
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

CompactText::Key CompactText::key() const noexcept {
  if (form() == kHeap) return {0, low_, heap()};
  return {high_, low_, {}};
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
  for (const std::size_t dash : {8, 13, 18, 23}) buffer[dash] = '-';
  for (std::size_t i = 0; i < kPairs.size(); ++i) {
    const std::uint64_t byte = (i < 8 ? high_ : low_) >> (56 - i % 8 * 8) & 0xff;
    buffer[kPairs[i]] = "0123456789abcdef"[byte >> 4];
    buffer[kPairs[i] + 1U] = "0123456789abcdef"[byte & 15];
  }
  return {buffer.data(), kUuidLength};
}

std::string CompactText::str() const {
  Buffer buffer;
  return std::string(View(buffer));
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
