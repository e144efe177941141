#include "server/catalog/builtin/exact_statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "server/catalog/builtin/words.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/kept.h"

namespace corod::builtin {
namespace {

using Word = std::uint64_t;
using TwoWords = unsigned __int128;
using Natural = std::vector<Word>;  // lowest word first

constexpr Word kOnes = ~Word{0};

// `number` as sign * magnitude * 2^exponent.
ExactSum::Term TermOf(double number) {
  constexpr int kDigits = 53;
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(number), &exponent);
  return {static_cast<TwoWords>(static_cast<Word>(std::ldexp(fraction, kDigits))), exponent - kDigits, number < 0};
}

ExactSum::Term SquareOf(const ExactSum::Term& term) {
  return {term.magnitude * term.magnitude, 2 * term.exponent, false};
}

ExactSum::Term Negated(ExactSum::Term term) {
  term.negative = !term.negative;
  return term;
}

void TrimHigh(Natural& natural) {
  while (!natural.empty() && natural.back() == 0) natural.pop_back();
}

Natural Square(const Natural& a) {
  Natural product(2 * a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    Word carry = 0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      const TwoWords sum = static_cast<TwoWords>(a[i]) * a[j] + product[i + j] + carry;
      product[i + j] = static_cast<Word>(sum);
      carry = static_cast<Word>(sum >> 64);
    }
    product[i + a.size()] = carry;
  }
  TrimHigh(product);
  return product;
}

void MultiplyBy(Natural& a, Word factor) {
  Word carry = 0;
  for (Word& word : a) {
    const TwoWords product = static_cast<TwoWords>(word) * factor + carry;
    word = static_cast<Word>(product);
    carry = static_cast<Word>(product >> 64);
  }
  if (carry != 0) a.push_back(carry);
}

// a -= b. REQUIRES: a >= b.
void Subtract(Natural& a, const Natural& b) {
  Word borrow = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const TwoWords taken = static_cast<TwoWords>(i < b.size() ? b[i] : 0) + borrow;
    borrow = a[i] < taken ? 1 : 0;
    a[i] = static_cast<Word>(a[i] - taken);
  }
  TrimHigh(a);
}

// a /= divisor; whether there is a remainder.
bool DivideBy(Natural& a, Word divisor) {
  Word remainder = 0;
  for (std::size_t i = a.size(); i-- > 0;) {
    const TwoWords dividend = (static_cast<TwoWords>(remainder) << 64) | a[i];
    a[i] = static_cast<Word>(dividend / divisor);
    remainder = static_cast<Word>(dividend % divisor);
  }
  TrimHigh(a);
  return remainder != 0;
}

// A positive number to more digits than any rounding looks at: digits * 2^exponent and, if `more`, a little more. The
// highest or the second highest bit of `digits` is set, and the exponent is even.
struct Quotient {
  TwoWords digits = 0;  // 0: the number is zero
  int exponent = 0;
  bool more = false;
};

// dividend * 2^(64 * exponent) / (the product of `divisors`, of which there are two at most).
Quotient Divide(Natural dividend, int exponent, std::initializer_list<Word> divisors) {
  if (dividend.empty()) return {};
  // So that even the smallest quotient has two whole words.
  const int extra = static_cast<int>(divisors.size()) + 2;
  dividend.insert(dividend.begin(), static_cast<std::size_t>(extra), 0);
  Quotient quotient;
  for (const Word divisor : divisors) quotient.more |= DivideBy(dividend, divisor);
  const auto word = [&](std::size_t from_top) {
    return static_cast<TwoWords>(dividend[dividend.size() - 1 - from_top]);
  };
  // 128 bits from the highest one that is set; or one less, for the exponent to be even, as all the others are then.
  const int shift = std::countl_zero(dividend.back()) & ~1;
  quotient.digits = (word(0) << 64) | word(1);
  Word rest = static_cast<Word>(word(2));
  if (shift > 0) {
    quotient.digits = (quotient.digits << shift) | (rest >> (64 - shift));
    rest <<= shift;
  }
  quotient.more |= rest != 0;
  const auto lower = static_cast<std::ptrdiff_t>(dividend.size()) - 3;
  quotient.more |= std::any_of(dividend.begin(), dividend.begin() + lower, [](Word low) { return low != 0; });
  quotient.exponent = 64 * (exponent - extra + static_cast<int>(dividend.size()) - 2) - shift;
  return quotient;
}

// digits * 2^exponent, rounded to the nearest double, halfway cases to even. The lowest bit of `digits` may stand for
// any number of bits below it. REQUIRES: the highest bit of `digits` is set.
double Round(Word digits, int exponent) {
  constexpr int kDigits = 53;
  constexpr int kLowestExponent = -1074;
  const int kept = std::min(kDigits, exponent + 64 - kLowestExponent);  // fewer for a subnormal number
  if (kept < 0) return 0;
  Word rounded = kept == 0 ? 0 : digits >> (64 - kept);
  const Word rest = digits << kept;
  const Word half = Word{1} << 63;
  if (rest > half || (rest == half && (rounded & 1) != 0)) ++rounded;
  return std::ldexp(static_cast<double>(rounded), exponent + 64 - kept);
}

double ToDouble(const Quotient& quotient) {
  if (quotient.digits == 0) return 0;
  const int shift = (quotient.digits >> 127) != 0 ? 0 : 1;
  const TwoWords digits = quotient.digits << shift;
  const bool more = quotient.more || static_cast<Word>(digits) != 0;
  return Round(static_cast<Word>(digits >> 64) | (more ? 1 : 0), quotient.exponent - shift + 64);
}

// The square root, rounded down. REQUIRES: n >= 2^126, so that the root has 64 bits.
Word SquareRoot(TwoWords n) {
  const double estimate = std::sqrt(static_cast<double>(n));
  TwoWords root = estimate < 0x1p64 ? static_cast<TwoWords>(estimate) : TwoWords{kOnes};
  root = std::min((root + n / root) / 2, TwoWords{kOnes});
  while (root * root > n) --root;
  while (root < kOnes && (root + 1) * (root + 1) <= n) ++root;
  return static_cast<Word>(root);
}

double SquareRootOf(const Quotient& quotient) {
  if (quotient.digits == 0) return 0;
  const Word root = SquareRoot(quotient.digits);
  const bool more = quotient.more || static_cast<TwoWords>(root) * root != quotient.digits;
  return Round(root | (more ? 1 : 0), quotient.exponent / 2);
}

}  // namespace

void ExactSum::Cover(int lowest, int highest) {
  if (words_.empty()) {
    exponent_ = lowest;
    words_.push_back(0);
  }
  if (lowest < exponent_) {
    words_.insert(words_.begin(), static_cast<std::size_t>(exponent_ - lowest), 0);
    exponent_ = lowest;
  }
  const auto wanted = static_cast<std::size_t>(highest - exponent_) + 1;
  if (words_.size() < wanted) words_.resize(wanted, words_.back());
}

void ExactSum::Add(Term term) {
  if (term.magnitude == 0) return;
  const int lowest = (term.exponent - (term.exponent & 63)) / 64;
  const int shift = term.exponent & 63;
  const TwoWords low = term.magnitude << shift;
  const Word top = shift == 0 ? 0 : static_cast<Word>(term.magnitude >> (128 - shift));
  const Word parts[] = {static_cast<Word>(low), static_cast<Word>(low >> 64), top};
  Cover(lowest, lowest + 3);
  Word carry = 0;  // or borrow
  for (auto i = static_cast<std::size_t>(lowest - exponent_), part = std::size_t{0}; i < words_.size(); ++i, ++part) {
    if (part >= 3 && carry == 0) break;
    const TwoWords operand = static_cast<TwoWords>(part < 3 ? parts[part] : 0) + carry;
    if (term.negative) {
      carry = words_[i] < operand ? 1 : 0;
      words_[i] = static_cast<Word>(words_[i] - operand);
    } else {
      const TwoWords sum = words_[i] + operand;
      words_[i] = static_cast<Word>(sum);
      carry = static_cast<Word>(sum >> 64);
    }
  }
  // The highest word was a mere sign, so what came to it fits beside the sign.
  if (words_.back() != 0 && words_.back() != kOnes) words_.push_back(words_.back() >> 63 != 0 ? kOnes : 0);
}

ExactSum::Total ExactSum::total() const {
  Total total{.words = words_, .exponent = exponent_, .negative = !words_.empty() && words_.back() != 0};
  if (total.negative) {
    Word carry = 1;
    for (Word& word : total.words) {
      word = ~word + carry;
      carry = carry != 0 && word == 0 ? 1 : 0;
    }
  }
  TrimHigh(total.words);
  const auto first = std::find_if(total.words.begin(), total.words.end(), [](Word word) { return word != 0; });
  total.exponent += static_cast<int>(first - total.words.begin());
  total.words.erase(total.words.begin(), first);
  return total;
}

Value ExactSum::Save() const { return List{exponent_, Value::Blob(ToBytes(words_))}; }

ExactSum ExactSum::Load(const Value& saved) {
  constexpr std::int64_t kMostWords = 80;  // more than all doubles and their squares ask for
  const List& fields = SavedFields(saved, 2);
  const std::int64_t exponent = fields[0].AsInteger();
  ExactSum sum;
  sum.words_ = FromBytes<Word>(fields[1].AsBlob());
  const bool signs = sum.words_.empty() || sum.words_.back() == 0 || sum.words_.back() == kOnes;
  if (!signs || std::ssize(sum.words_) > kMostWords || exponent < -kMostWords || exponent > kMostWords) {
    throw py::ValueError("no state of an exact sum");
  }
  sum.exponent_ = static_cast<int>(exponent);
  return sum;
}

void ExactStatistics::Add(double number) {
  const ExactSum::Term term = TermOf(number);
  sum_.Add(term);
  squares_.Add(SquareOf(term));
  ++count_;
}

void ExactStatistics::Remove(double number) {
  const ExactSum::Term term = TermOf(number);
  sum_.Add(Negated(term));
  squares_.Add(Negated(SquareOf(term)));
  --count_;
}

ExactStatistics::Result ExactStatistics::Compute() const {
  const auto count = static_cast<Word>(count_);
  const ExactSum::Total sum = sum_.total();
  const double mean = ToDouble(Divide(sum.words, sum.exponent, {count}));
  Result result{.mean = sum.negative ? -mean : mean, .variance = 0, .standard_deviation = 0};
  if (count < 2) return result;

  // (count * sum of squares - sum * sum) / (count * (count - 1)), all of it exact until the last step.
  ExactSum::Total squares = squares_.total();
  MultiplyBy(squares.words, count);
  Natural square_of_sum = Square(sum.words);
  const int exponent = std::min(squares.exponent, 2 * sum.exponent);
  const auto align = [exponent](Natural& words, int from) {
    if (!words.empty()) words.insert(words.begin(), static_cast<std::size_t>(from - exponent), 0);
  };
  align(squares.words, squares.exponent);
  align(square_of_sum, 2 * sum.exponent);
  Subtract(squares.words, square_of_sum);
  const Quotient variance = Divide(std::move(squares.words), exponent, {count, count - 1});
  result.variance = ToDouble(variance);
  result.standard_deviation = SquareRootOf(variance);
  return result;
}

Value ExactStatistics::Save() const { return List{count_, sum_.Save(), squares_.Save()}; }

ExactStatistics ExactStatistics::Load(const Value& saved) {
  const List& fields = SavedFields(saved, 3);
  ExactStatistics statistics;
  statistics.count_ = fields[0].AsInteger();
  if (statistics.count_ < 0) throw py::ValueError("no state of statistics");
  statistics.sum_ = ExactSum::Load(fields[1]);
  statistics.squares_ = ExactSum::Load(fields[2]);
  return statistics;
}

}  // namespace corod::builtin
