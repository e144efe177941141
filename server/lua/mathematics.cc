#include "server/lua/mathematics.h"

#include <mpfr.h>

#include <cmath>
#include <limits>
#include <utility>

// What Lua's virtual machine and its compiler call for `^`: linked with --wrap=pow.
extern "C" double __wrap_pow(double base, double exponent);  // NOLINT(bugprone-reserved-identifier)

namespace corod::lua {
namespace {

thread_local std::uint64_t powers = 0;

using Limits = std::numeric_limits<double>;

// The range of doubles as MPFR counts exponents: numbers are m * 2^e with 1/2 <= m < 1.
constexpr mpfr_exp_t kLeastExponent = Limits::min_exponent - Limits::digits + 1;  // of the least subnormal
constexpr mpfr_exp_t kGreatestExponent = Limits::max_exponent;

constexpr double kExactBelow = 0x1p53;  // all integers below are doubles

// What MPFR has computed for this thread (pi, the logarithm of 2), freed when the thread ends.
struct Constants {
  Constants() = default;
  Constants(const Constants&) = delete;
  Constants& operator=(const Constants&) = delete;
  ~Constants() { mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE); }
};

// While it lives, MPFR's results are in the range of doubles. MPFR keeps its range for each thread (as built by Debian
// and whoever else builds it with TLS: mpfr_buildopt_tls_p), so no other thread notices.
class DoubleRange {
 public:
  DoubleRange() {
    thread_local const Constants constants;
    mpfr_set_emin(kLeastExponent);
    mpfr_set_emax(kGreatestExponent);
  }
  DoubleRange(const DoubleRange&) = delete;
  DoubleRange& operator=(const DoubleRange&) = delete;
  ~DoubleRange() {
    mpfr_set_emin(least_);
    mpfr_set_emax(greatest_);
  }

 private:
  const mpfr_exp_t least_ = mpfr_get_emin();
  const mpfr_exp_t greatest_ = mpfr_get_emax();
};

// Rounded once: `ternary` says on which side of the exact result the number is that a subnormal is made of.
double Rounded(mpfr_ptr result, int ternary) {
  mpfr_subnormalize(result, ternary, MPFR_RNDN);
  return mpfr_get_d(result, MPFR_RNDN);
}

// MPFR has the special cases of Annex F.
template <typename Function>
double Compute(Function function, double x) {
  const DoubleRange range;
  MPFR_DECL_INIT(number, Limits::digits);
  mpfr_set_d(number, x, MPFR_RNDN);
  return Rounded(number, function(number, number, MPFR_RNDN));
}

template <typename Function>
double Compute(Function function, double x, double y) {
  const DoubleRange range;
  MPFR_DECL_INIT(number, Limits::digits);
  MPFR_DECL_INIT(other, Limits::digits);
  mpfr_set_d(number, x, MPFR_RNDN);
  mpfr_set_d(other, y, MPFR_RNDN);
  return Rounded(number, function(number, number, other, MPFR_RNDN));
}

}  // namespace

double Pow(double base, double exponent) {
  // What takes no rounding, or is one operation that IEEE 754 rounds correctly.
  if (exponent == 0 || base == 1) return 1;
  if (exponent == 1) return base;
  if (exponent == -1) return 1 / base;
  if (exponent == 2) return base * base;
  if (exponent == 0.5 && base > 0) return std::sqrt(base);
  if (exponent > 0 && exponent < Limits::digits && std::trunc(exponent) == exponent && std::trunc(base) == base) {
    double power = base;
    double left = exponent;
    while (--left > 0 && std::abs(power) < kExactBelow) power *= base;
    if (std::abs(power) < kExactBelow) return power;
  }
  return Compute(mpfr_pow, base, exponent);
}

double Exp(double x) { return Compute(mpfr_exp, x); }
double Log(double x) { return Compute(mpfr_log, x); }
double Log2(double x) { return Compute(mpfr_log2, x); }
double Log10(double x) { return Compute(mpfr_log10, x); }
double Sin(double x) { return Compute(mpfr_sin, x); }
double Cos(double x) { return Compute(mpfr_cos, x); }
double Tan(double x) { return Compute(mpfr_tan, x); }
double Asin(double x) { return Compute(mpfr_asin, x); }
double Acos(double x) { return Compute(mpfr_acos, x); }
double Atan2(double y, double x) { return Compute(mpfr_atan2, y, x); }

std::uint64_t TakePowers() { return std::exchange(powers, 0); }

}  // namespace corod::lua

double __wrap_pow(double base, double exponent) {
  ++corod::lua::powers;
  return corod::lua::Pow(base, exponent);
}
