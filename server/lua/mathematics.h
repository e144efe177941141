#ifndef COROD_SERVER_LUA_MATHEMATICS_H_
#define COROD_SERVER_LUA_MATHEMATICS_H_

#include <cstdint>

// Elementary functions, correctly rounded to the nearest double (MPFR), so that they are the same on every machine: the
// C library's differ in the last bit from one processor to the next. Special cases (NaN, infinities, signed zeros,
// domain errors) are those of C's Annex F.
namespace corod::lua {

double Pow(double base, double exponent);
double Exp(double x);
double Log(double x);
double Log2(double x);
double Log10(double x);
double Sin(double x);
double Cos(double x);
double Tan(double x);
double Asin(double x);
double Acos(double x);
double Atan2(double y, double x);

// How often this thread has computed a `^` since it was last asked: Lua counts each as one instruction.
std::uint64_t TakePowers();

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_MATHEMATICS_H_
