#include "server/lua/mathematics.h"

#include <gtest/gtest.h>
#include <mpfr.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "server/lua/lua_api.h"

namespace corod::lua {
namespace {

using Limits = std::numeric_limits<double>;

constexpr double kInfinity = Limits::infinity();
constexpr double kNan = Limits::quiet_NaN();
constexpr double kLeast = Limits::denorm_min();
constexpr double kGreatest = Limits::max();
constexpr double kPi = 0x1.921fb54442d18p+1;

// As a message shows it: the bits, but one NaN is as good as another.
std::string Show(double number) {
  if (std::isnan(number)) return "nan";
  char text[40];
  std::snprintf(text, sizeof text, "%a", number);
  return text;
}

struct One {
  double x;
  double result;
};

struct Two {
  double x;
  double y;
  double result;
};

void ExpectBits(const char* name, double (*function)(double), std::initializer_list<One> cases) {
  for (const auto& [x, result] : cases) EXPECT_EQ(Show(function(x)), Show(result)) << name << " " << Show(x);
}

void ExpectBits(const char* name, double (*function)(double, double), std::initializer_list<Two> cases) {
  for (const auto& [x, y, result] : cases) {
    EXPECT_EQ(Show(function(x, y)), Show(result)) << name << " " << Show(x) << ", " << Show(y);
  }
}

// Results computed with mpmath. The last five or six of each are some that Debian 12's C library rounds wrong.
TEST(MathematicsTest, KnownBits) {
  ExpectBits("Exp", Exp,
             {
                 {0x1p+0, 0x1.5bf0a8b145769p+1},
                 {-0x1p+0, 0x1.78b56362cef38p-2},
                 {0x1.62e42fefa39efp+9, 0x1.fffffffffff2ap+1023},
                 {0x1.62e42fefa39fp+9, kInfinity},
                 {-0x1.74910d52d3051p+9, kLeast},
                 {-0x1.74910d52d3052p+9, 0},
                 {-0x1.624p+9, 0xe6cf6d08897acp-1074},
                 {0x1.56e1fc2f8f359p-997, 0x1p+0},
                 {0x1p-1, 0x1.a61298e1e069cp+0},
                 {-0x1.83d0158adcd9p+1, 0x1.8be2bf90470a5p-5},
                 {-0x1.3c9c4921e00d8p+1, 0x1.593e0c49072bap-4},
                 {0x1.c411419ddda6p+1, 0x1.117a28218acf6p+5},
                 {0x1.0984b3dd99c6ap+4, 0x1.eb9cbf5ba8b67p+23},
                 {-0x1.bdce03c1b6a8p+0, 0x1.66f43849ccd4ap-3},
             });
  ExpectBits("Log", Log,
             {
                 {0x1p+1, 0x1.62e42fefa39efp-1},
                 {0x1.4p+3, 0x1.26bb1bbb55516p+1},
                 {kLeast, -0x1.74385446d71c3p+9},
                 {kGreatest, 0x1.62e42fefa39efp+9},
                 {0x1.0000000000001p+0, 0x1.fffffffffffffp-53},
                 {0x1.fffffffffffffp-1, -0x1p-53},
                 {0x1.8p+1, 0x1.193ea7aad030bp+0},
                 {0x1.f7fbd5249c2d5p+3, 0x1.60df1630ceeafp+1},
                 {0x1.7699ec4500de5p+3, 0x1.3ae56ac7d4bddp+1},
                 {0x1.382b3df45bb64p+3, 0x1.238f3adb2613fp+1},
                 {0x1.1b5f5b3f26c23p+4, 0x1.6fe4eaf145cf6p+1},
                 {0x1.3216bb4414f52p+0, 0x1.6df91c09bba8fp-3},
             });
  ExpectBits("Log2", Log2,
             {
                 {0x1p+3, 0x1.8p+1},
                 {0x1.8p+1, 0x1.95c01a39fbd68p+0},
                 {kLeast, -0x1.0c8p+10},
                 {kGreatest, 0x1p+10},
                 {0x1.0000000000001p+0, 0x1.71547652b82fdp-52},
                 {0x1.fffffffffffffp-1, -0x1.71547652b82fep-53},
                 {0x1.4p+3, 0x1.a934f0979a371p+1},
                 {0x1.11970a629b225p+4, 0x1.0622c30eb593dp+2},
                 {0x1.a3f0e6238bdcdp+3, 0x1.db65c1cedf7fep+1},
                 {0x1.08fcfdad993a8p+3, 0x1.865f57217e07bp+1},
                 {0x1.5fd479ed65aa6p+2, 0x1.3ab7d1069165ep+1},
                 {0x1.0a4a4a684fb34p+1, 0x1.0e8e153c27c74p+0},
             });
  ExpectBits("Log10", Log10,
             {
                 {0x1.f4p+9, 0x1.8p+1},
                 {0x1.0f0cf064dd592p+73, 0x1.6p+4},
                 {kLeast, -0x1.434e6420f4374p+8},
                 {kGreatest, 0x1.34413509f79ffp+8},
                 {0x1.0000000000001p+0, 0x1.bcb7b1526e50dp-54},
                 {0x1.fffffffffffffp-1, -0x1.bcb7b1526e50fp-55},
                 {0x1p+1, 0x1.34413509f79ffp-2},
                 {0x1.08bc40d8a4504p+1, 0x1.432d2b0dd41ffp-2},
                 {0x1.c15f1c6c8a029p+3, 0x1.25bfa60157077p+0},
                 {0x1.27325fe862e9cp+0, 0x1.fada3e4507453p-5},
                 {0x1.673df610243dep+2, 0x1.7f981534a6f01p-1},
                 {0x1.6f802f3d9ec02p+0, 0x1.4192c6145d78ep-3},
             });
  ExpectBits("Sin", Sin,
             {
                 {0x1p+0, 0x1.aed548f090ceep-1},
                 {0x1.0f0cf064dd592p+73, -0x1.b453ab76bf397p-1},
                 {0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53},
                 {kLeast, kLeast},
                 {0x1p-1022, 0x1p-1022},
                 {kGreatest, 0x1.452fc98b34e97p-8},
                 {0x1p-1, 0x1.eaee8744b05fp-2},
                 {-0x1.fe3e5d2ccf4bep+3, 0x1.e1247e27f8a77p-3},
                 {0x1.8254ed057ff18p+2, -0x1.f43c37ac30595p-3},
                 {-0x1.1f49bda45aae6p+4, 0x1.8f29dc16c7609p-1},
                 {0x1.e85552c93c81cp+3, 0x1.bb246eb8f6387p-2},
                 {0x1.99ce3e5824d8p+3, 0x1.e6ecf2c6e18adp-3},
             });
  ExpectBits("Cos", Cos,
             {
                 {0x1p+0, 0x1.14a280fb5068cp-1},
                 {0x1.0f0cf064dd592p+73, 0x1.0be2cef01c8f4p-1},
                 {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54},
                 {kLeast, 0x1p+0},
                 {0x1.5798ee2308c3ap-27, 0x1p+0},
                 {kGreatest, -0x1.fffe62ecfab75p-1},
                 {0x1p-1, 0x1.c1528065b7d5p-1},
                 {0x1.ca08547a5fc6cp+3, -0x1.674ba70af3169p-3},
                 {-0x1.2336c9c5c1efap+2, -0x1.4aab964e7d447p-3},
                 {-0x1.acce58162bc7ep+3, 0x1.581766243e1f9p-1},
                 {0x1.16400c4a4ae94p+2, -0x1.6d41f28045b63p-2},
                 {0x1.3cd996d050d4cp+2, 0x1.e39d619e92e03p-3},
             });
  ExpectBits("Tan", Tan,
             {
                 {0x1p+0, 0x1.8eb245cbee3a6p+0},
                 {0x1.0f0cf064dd592p+73, -0x1.a0f79c1b6b257p+0},
                 {0x1.921fb54442d18p+0, 0x1.d02967c31cdb5p+53},
                 {kLeast, kLeast},
                 {0xfffffffffffffp-1074, 0xfffffffffffffp-1074},
                 {kGreatest, -0x1.4530cfe729484p-8},
                 {0x1p-1, 0x1.17b4f5bf3474ap-1},
                 {0x1.30c8058ce96p+4, 0x1.9d9c21b0fd6cdp-3},
                 {0x1.7f7ed3daf3d5cp+3, -0x1.510375a991a67p-1},
                 {-0x1.62e34e4bbac64p+3, 0x1.50febd7fc1eb1p+3},
                 {0x1.32db81549c896p+4, 0x1.5da40ddd4d6f3p-2},
                 {0x1.287e3d538f7b8p+2, 0x1.90bc7e26e5e31p+3},
             });
  ExpectBits("Asin", Asin,
             {
                 {0x1p+0, 0x1.921fb54442d18p+0},
                 {-0x1p+0, -0x1.921fb54442d18p+0},
                 {0x1p-1, 0x1.0c152382d7366p-1},
                 {kLeast, kLeast},
                 {0x1.fffffffffffffp-1, 0x1.921fb50442d18p+0},
                 {0xfffffffffffffp-1074, 0xfffffffffffffp-1074},
                 {0x1.a7d488e47747ep-1, 0x1.f34892e470c2fp-1},
                 {-0x1.c9cc1be17ef28p-1, -0x1.1b435bfe43593p+0},
                 {0x1.efe4b1ae70888p-3, 0x1.f4df1a67e7995p-3},
                 {-0x1.406b5d02f91c4p-2, -0x1.45e49bdf3be57p-2},
                 {-0x1.dad3343a19a48p-2, -0x1.edbc07f725493p-2},
             });
  ExpectBits("Acos", Acos,
             {
                 {-0x1p+0, 0x1.921fb54442d18p+1},
                 {0x1p-1, 0x1.0c152382d7366p+0},
                 {0, 0x1.921fb54442d18p+0},
                 {kLeast, 0x1.921fb54442d18p+0},
                 {0x1.fffffffffffffp-1, 0x1p-26},
                 {-0x1.fffffffffffffp-1, 0x1.921fb52442d18p+1},
                 {0x1.9bfdd80132bp-1, 0x1.4577357654c6fp-1},
                 {-0x1.3d6a0e538669p-4, 0x1.a5fb6ef6a7b5cp+0},
                 {-0x1.a9214f249ce88p-3, 0x1.c7a784be4855dp+0},
                 {0x1.81e9efeba8502p-1, 0x1.6f231d8a17df9p-1},
                 {0x1.f3662fed38b08p-1, 0x1.c74e96ada1935p-3},
             });
  ExpectBits("Pow", Pow,
             {
                 {0x1.4p+1, 0x1.d99999999999ap+1, 0x1.dac93f32d18ddp+4},
                 {0x1.4p+3, -0x1.4p+2, 0x1.4f8b588e368f1p-17},
                 {0x1p+1, 0x1p-1, 0x1.6a09e667f3bcdp+0},
                 {0x1.0000000000001p+0, 0x1p+52, 0x1.5bf0a8b145769p+1},
                 {0x1.999999999999ap-4, 0x1.34p+8, 0x730d67819e8f5p-1074},
                 {0x1.999999999999ap-4, 0x1.43p+8, 0x2p-1074},
                 {0x1p+1, -0x1.0c8p+10, kLeast},
                 {0x1p+1, -0x1.0ccp+10, 0},
                 {0x1p+1, 0x1.ffcp+9, 0x1.6a09e667f3bcdp+1023},
                 {0x1.8p+1, -0x1.538p+9, 0},
                 {0x1.4p+3, 0x1.34p+8, 0x1.1ccf385ebc8ap+1023},
                 {0x1.4p+3, 0x1.7p+4, 0x1.52d02c7e14af6p+76},
                 {-0x1.8p+1, 0x1.18p+5, -0x1.637ed9b2612f3p+55},
                 {-0x1.199999999999ap+0, -0x1.94p+6, -0x1.14b17ea395094p-14},
                 {0x1.6a09e6cp+26, 0x1p+1, 0x1.0000007c84becp+53},
                 {0x1.44p+6, 0x1p-2, 0x1.8p+1},
                 {kLeast, 0x1.3333333333333p-2, 0x1.bdb8cdadbe161p-323},
                 {0x1.a117d0df7822fp+2, -0x1.99a18469c54cp-2, 0x1.e3c9784f3eeebp-2},
                 {0x1.e066e3a0434dep+3, -0x1.410f6600b7154p+2, 0x1.5092810dc9c5bp-20},
                 {0x1.7a8b570b096cp+2, -0x1.b52153f21413p+2, 0x1.665e2fea1a6a2p-18},
                 {0x1.ee191093e9811p+3, 0x1.36369a841ccbap+4, 0x1.78d613de7e635p+76},
                 {0x1.993b3b134a688p+3, 0x1.ba913bec9fef8p+1, 0x1.a3895b4de59a6p+12},
                 {0x1.1692137788b5dp+4, 0x1.4d7a5072f7aa6p+3, 0x1.f04bd9508d99dp+42},
             });
  ExpectBits("Atan2", Atan2,
             {
                 {0x1p+0, 0x1p+0, 0x1.921fb54442d18p-1},
                 {0x1p+0, -0x1p+0, 0x1.2d97c7f3321d2p+1},
                 {-0x1p+0, -0x1p+0, -0x1.2d97c7f3321d2p+1},
                 {0x1.56e1fc2f8f359p-997, 0x1.7e43c8800759cp+996, 0},
                 {0x3p-1074, 0x1p+1, kLeast},
                 {kLeast, 0x1p+1, 0},
                 {0x1.7e43c8800759cp+996, kLeast, 0x1.921fb54442d18p+0},
                 {0x1p+0, 0x1.8p+1, 0x1.4978fa3269ee1p-2},
                 {-kLeast, -0x1p+0, -0x1.921fb54442d18p+1},
                 {-0x1.32f1cc034477p+2, 0x1.097efd8fa1126p+4, -0x1.201d4c0a50a3bp-2},
                 {0x1.fda14ade59a9p+1, 0x1.136018ccecd22p+4, 0x1.d1952222d9421p-3},
                 {0x1.ded319300d18p-1, 0x1.8854a8673dcbp+3, 0x1.37d597794076fp-4},
                 {-0x1.24bb1a8886d36p+3, 0x1.ad89078b4c0acp+2, -0x1.e02b2294bb899p-1},
                 {0x1.08f8593f46d8p-3, 0x1.183c77c3fc03p+0, 0x1.e1df78376f618p-4},
                 {-0x1.714b72491f17cp+3, -0x1.02b9ffaacf83dp+4, -0x1.42c8921d62c9fp+1},
             });
}

TEST(MathematicsTest, SpecialCasesOfOneArgument) {
  ExpectBits("Exp", Exp,
             {{0.0, 1},
              {-0.0, 1},
              {kInfinity, kInfinity},
              {-kInfinity, 0},
              {kNan, kNan},
              {kGreatest, kInfinity},
              {-kGreatest, 0}});
  for (const auto& [name, function] :
       {std::pair<const char*, double (*)(double)>("Log", Log), {"Log2", Log2}, {"Log10", Log10}}) {
    ExpectBits(name, function,
               {{0.0, -kInfinity},
                {-0.0, -kInfinity},
                {1, 0.0},
                {-1, kNan},
                {-kLeast, kNan},
                {kInfinity, kInfinity},
                {-kInfinity, kNan},
                {kNan, kNan}});
  }
  for (const auto& [name, function] : {std::pair<const char*, double (*)(double)>("Sin", Sin), {"Tan", Tan}}) {
    ExpectBits(name, function,
               {{0.0, 0.0}, {-0.0, -0.0}, {kInfinity, kNan}, {-kInfinity, kNan}, {kNan, kNan}, {-kLeast, -kLeast}});
  }
  ExpectBits("Cos", Cos, {{0.0, 1}, {-0.0, 1}, {kInfinity, kNan}, {-kInfinity, kNan}, {kNan, kNan}});
  const double above = std::nextafter(1.0, 2.0);
  ExpectBits("Asin", Asin, {{0.0, 0.0}, {-0.0, -0.0}, {above, kNan}, {-above, kNan}, {kInfinity, kNan}, {kNan, kNan}});
  ExpectBits("Acos", Acos, {{1, 0.0}, {above, kNan}, {-above, kNan}, {-kInfinity, kNan}, {kNan, kNan}});
}

TEST(MathematicsTest, SpecialCasesOfPow) {
  for (const double y : {0.0, -0.0}) {
    for (const double x : {0.0, -0.0, 1.0, -2.5, kInfinity, -kInfinity, kNan}) EXPECT_EQ(Show(Pow(x, y)), Show(1));
  }
  for (const double y : {0.5, -3.0, kGreatest, kInfinity, -kInfinity, kNan}) EXPECT_EQ(Show(Pow(1, y)), Show(1));
  ExpectBits("Pow", Pow,
             {
                 {0.0, -3, kInfinity},
                 {-0.0, -3, -kInfinity},
                 {0.0, -1, kInfinity},
                 {-0.0, -1, -kInfinity},
                 {-0.0, -2, kInfinity},
                 {-0.0, -2.5, kInfinity},
                 {0.0, -kInfinity, kInfinity},
                 {-0.0, -kInfinity, kInfinity},
                 {0.0, 3, 0.0},
                 {-0.0, 3, -0.0},
                 {-0.0, 1, -0.0},
                 {-0.0, 4, 0.0},
                 {-0.0, 0.5, 0.0},
                 {-0.0, 2.5, 0.0},
                 {0.0, kInfinity, 0.0},
                 {-1, kInfinity, 1},
                 {-1, -kInfinity, 1},
                 {-1, 0x1p53 - 1, -1},
                 {-1, 0x1p53, 1},
                 {-1, kGreatest, 1},
                 {-1, 51, -1},
                 {-8, 1.0 / 3, kNan},
                 {-8, 0.5, kNan},
                 {-kGreatest, kLeast, kNan},
                 {0.5, -kInfinity, kInfinity},
                 {-0.5, -kInfinity, kInfinity},
                 {1.5, -kInfinity, 0.0},
                 {-1.5, -kInfinity, 0.0},
                 {0.5, kInfinity, 0.0},
                 {-0.5, kInfinity, 0.0},
                 {1.5, kInfinity, kInfinity},
                 {-1.5, kInfinity, kInfinity},
                 {-kInfinity, -3, -0.0},
                 {-kInfinity, -1, -0.0},
                 {-kInfinity, -2, 0.0},
                 {-kInfinity, -0.5, 0.0},
                 {-kInfinity, 3, -kInfinity},
                 {-kInfinity, 1, -kInfinity},
                 {-kInfinity, 2, kInfinity},
                 {-kInfinity, 0.5, kInfinity},
                 {kInfinity, -0.5, 0.0},
                 {kInfinity, 0.5, kInfinity},
                 {kInfinity, 7, kInfinity},
                 {kNan, 0.5, kNan},
                 {kNan, 1, kNan},
                 {kNan, kInfinity, kNan},
                 {2, kNan, kNan},
                 {-3, 3, -27},
                 {10, 15, 1e15},
                 {10, 16, 1e16},
                 {kGreatest, 3, kInfinity},
                 {-kGreatest, 3, -kInfinity},
                 {-kLeast, 3, -0.0},
                 {kLeast, -1, kInfinity},
             });
}

TEST(MathematicsTest, SpecialCasesOfAtan2) {
  const double quarter = kPi / 4;
  const double three_quarters = 0x1.2d97c7f3321d2p+1;
  ExpectBits("Atan2", Atan2,
             {
                 {0.0, -0.0, kPi},
                 {-0.0, -0.0, -kPi},
                 {0.0, 0.0, 0.0},
                 {-0.0, 0.0, -0.0},
                 {0.0, -1, kPi},
                 {-0.0, -1, -kPi},
                 {0.0, 1, 0.0},
                 {-0.0, 1, -0.0},
                 {-1, 0.0, -kPi / 2},
                 {-1, -0.0, -kPi / 2},
                 {1, 0.0, kPi / 2},
                 {1, -0.0, kPi / 2},
                 {1, -kInfinity, kPi},
                 {-1, -kInfinity, -kPi},
                 {1, kInfinity, 0.0},
                 {-1, kInfinity, -0.0},
                 {kInfinity, 1, kPi / 2},
                 {-kInfinity, 1, -kPi / 2},
                 {kInfinity, -kInfinity, three_quarters},
                 {-kInfinity, -kInfinity, -three_quarters},
                 {kInfinity, kInfinity, quarter},
                 {-kInfinity, kInfinity, -quarter},
                 {kNan, 1, kNan},
                 {1, kNan, kNan},
                 {kNan, kInfinity, kNan},
             });
}

// Arguments of every kind, the same ones for the same seed.
class RandomArguments {
 public:
  explicit RandomArguments(std::uint64_t seed) : random_(seed) {}

  double Next() {
    switch (random_() % 10) {
      case 0:
      case 1:
        return std::bit_cast<double>(random_());
      case 2:
        return std::bit_cast<double>(random_() >> 12 | random_() << 63);  // subnormal
      case 3:
        return static_cast<double>(random_() % 200) - 100;
      case 4:
        return (static_cast<double>(random_() % 4000) - 2000) / 16;
      case 5:
        return (random_() % 2 == 0 ? 1 : -1) * (1 + std::ldexp(static_cast<double>(random_() % 128) - 64, -53));
      case 6:
        return std::ldexp(static_cast<double>(random_() % 16), static_cast<int>(random_() % 2150) - 1076);
      case 7:
        return Uniform() * 1000;
      default:
        return Uniform() * static_cast<double>(1 + random_() % 20);
    }
  }

  double Uniform() { return std::uniform_real_distribution<double>(-1, 1)(random_); }

 private:
  std::mt19937_64 random_;
};

// The nearest double of what `compute` sets a number of 300 bits to. That is rounded to odd, so that rounding it again
// does no harm, and without the limits of doubles.
template <typename Compute>
double Nearest(const Compute& compute) {
  constexpr int kBits = 300;
  mpfr_t number;
  mpfr_init2(number, kBits);
  const int ternary = compute(number, MPFR_RNDZ);
  const bool is_even = mpfr_regular_p(number) != 0 && mpfr_min_prec(number) < kBits;
  if (ternary != 0 && is_even) {
    if (ternary < 0) {
      mpfr_nextabove(number);
    } else {
      mpfr_nextbelow(number);
    }
  }
  const double nearest = mpfr_get_d(number, MPFR_RNDN);
  mpfr_clear(number);
  return nearest;
}

using Function = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);
using FunctionOfTwo = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_srcptr, mpfr_rnd_t);

double Nearest(Function function, double x) {
  return Nearest([&](mpfr_ptr result, mpfr_rnd_t rounding) {
    MPFR_DECL_INIT(argument, Limits::digits);
    mpfr_set_d(argument, x, MPFR_RNDN);
    return function(result, argument, rounding);
  });
}

double Nearest(FunctionOfTwo function, double x, double y) {
  return Nearest([&](mpfr_ptr result, mpfr_rnd_t rounding) {
    MPFR_DECL_INIT(first, Limits::digits);
    MPFR_DECL_INIT(second, Limits::digits);
    mpfr_set_d(first, x, MPFR_RNDN);
    mpfr_set_d(second, y, MPFR_RNDN);
    return function(result, first, second, rounding);
  });
}

constexpr int kRandomCases = 10000;

TEST(MathematicsTest, RandomArgumentsAreCorrectlyRounded) {
  struct Case {
    const char* name;
    double (*ours)(double);
    Function exact;
    double bound;  // of the arguments, in half of the cases: beyond it there is little to see
  };
  RandomArguments arguments(1);
  for (const Case& tested : {Case{"Exp", Exp, mpfr_exp, 750},
                             {"Log", Log, mpfr_log, 2},
                             {"Log2", Log2, mpfr_log2, 2},
                             {"Log10", Log10, mpfr_log10, 2},
                             {"Sin", Sin, mpfr_sin, 10},
                             {"Cos", Cos, mpfr_cos, 10},
                             {"Tan", Tan, mpfr_tan, 10},
                             {"Asin", Asin, mpfr_asin, 1},
                             {"Acos", Acos, mpfr_acos, 1}}) {
    for (int i = 0; i < kRandomCases; ++i) {
      const double x = i % 2 == 0 ? arguments.Next() : arguments.Uniform() * tested.bound;
      ASSERT_EQ(Show(tested.ours(x)), Show(Nearest(tested.exact, x))) << tested.name << " " << Show(x);
    }
  }
}

TEST(MathematicsTest, RandomPairsAreCorrectlyRounded) {
  RandomArguments arguments(2);
  int subnormal = 0;
  for (int i = 0; i < kRandomCases; ++i) {
    double x = arguments.Next();
    double y = arguments.Next();
    ASSERT_EQ(Show(Atan2(y, x)), Show(Nearest(mpfr_atan2, y, x))) << Show(y) << ", " << Show(x);
    if (i % 2 == 0) x = std::abs(x);
    // In a fourth of the cases near the ends of the range, up to where all is 0 or infinite.
    if (i % 4 == 0)
      y = (i % 8 == 0 ? 1080 : 1030) * (0.9 + arguments.Uniform() / 10) / std::log2(x) * (i % 8 == 0 ? -1 : 1);
    const double power = Pow(x, y);
    ASSERT_EQ(Show(power), Show(Nearest(mpfr_pow, x, y))) << Show(x) << ", " << Show(y);
    if (std::fpclassify(power) == FP_SUBNORMAL) ++subnormal;
  }
  EXPECT_GT(subnormal, 100);
}

// Exact powers, and such as lie halfway between two doubles.
TEST(MathematicsTest, PowersOfIntegers) {
  for (int base = -30; base <= 30; ++base) {
    for (int exponent = -40; exponent <= 60; ++exponent) {
      EXPECT_EQ(Show(Pow(base, exponent)), Show(Nearest(mpfr_pow, base, exponent))) << base << ", " << exponent;
    }
  }
  for (const double base : {0x1p26 + 1, 0x1p27 - 1, 0x1p27 + 1, 208063.0, 208065.0, 9741.0}) {
    for (int exponent = -6; exponent <= 6; ++exponent) {
      EXPECT_EQ(Show(Pow(base, exponent)), Show(Nearest(mpfr_pow, base, exponent))) << base << ", " << exponent;
    }
  }
}

TEST(MathematicsTest, OtherUsersOfMpfrNoticeNothing) {
  ASSERT_NE(mpfr_buildopt_tls_p(), 0);
  mpfr_set_emin(-5000);
  mpfr_set_emax(6000);
  EXPECT_EQ(Exp(-745.2), 0);
  EXPECT_EQ(Pow(10, 400.5), kInfinity);
  EXPECT_EQ(mpfr_get_emin(), -5000);
  EXPECT_EQ(mpfr_get_emax(), 6000);
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_set_emax(mpfr_get_emax_max());
  std::thread([] {
    EXPECT_EQ(Show(Exp(1)), "0x1.5bf0a8b145769p+1");
    EXPECT_LT(mpfr_get_emin(), -5000);
  }).join();
}

class PowerOperatorTest : public ::testing::Test {
 protected:
  ~PowerOperatorTest() override { lua_close(state_); }

  // What `source` returns, called with x and y.
  double Run(const std::string& source, double x, double y) {
    EXPECT_EQ(luaL_loadstring(state_, source.c_str()), LUA_OK) << source;
    lua_pushnumber(state_, x);
    lua_pushnumber(state_, y);
    lua_call(state_, 2, 1);
    const double result = lua_tonumber(state_, -1);
    lua_pop(state_, 1);
    return result;
  }

  lua_State* const state_ = luaL_newstate();
};

TEST_F(PowerOperatorTest, IsOurs) {
  luaL_openlibs(state_);
  // The last six are those that Debian 12's C library rounds wrong.
  for (const auto& [x, y] : {
           std::pair(2.5, 3.7),
           {0x1.a117d0df7822fp+2, -0x1.99a18469c54cp-2},
           {0x1.e066e3a0434dep+3, -0x1.410f6600b7154p+2},
           {0x1.7a8b570b096cp+2, -0x1.b52153f21413p+2},
           {0x1.ee191093e9811p+3, 0x1.36369a841ccbap+4},
           {0x1.993b3b134a688p+3, 0x1.ba913bec9fef8p+1},
           {0x1.1692137788b5dp+4, 0x1.4d7a5072f7aa6p+3},
       }) {
    const std::string power = Show(Pow(x, y));
    // Folded by the compiler; computed by the virtual machine, for a constant and for a variable; by the library of
    // strings.
    EXPECT_EQ(Show(Run("return " + Show(x) + " ^ " + Show(y), 0, 0)), power);
    EXPECT_EQ(Show(Run("local x, y = ... return x ^ " + Show(y), x, y)), power);
    EXPECT_EQ(Show(Run("local x, y = ... return " + Show(x) + " ^ y", x, y)), power);
    EXPECT_EQ(Show(Run("local x, y = ... return x ^ y", x, y)), power);
    EXPECT_EQ(Show(Run("local x, y = ... return ('%a'):format(x) ^ ('%a'):format(y)", x, y)), power);
    // By the library's function for C.
    lua_pushnumber(state_, x);
    lua_pushnumber(state_, y);
    lua_arith(state_, LUA_OPPOW);
    EXPECT_EQ(Show(lua_tonumber(state_, -1)), power);
    lua_pop(state_, 1);
  }
}

TEST_F(PowerOperatorTest, SpecialCases) {
  EXPECT_EQ(Show(Run("local x, y = ... return x ^ y", -8, 1.0 / 3)), "nan");
  EXPECT_EQ(Show(Run("local x, y = ... return x ^ y", kNan, 0)), "0x1p+0");
  EXPECT_EQ(Show(Run("local x, y = ... return x ^ y", -0.0, -1)), "-inf");
  EXPECT_EQ(Show(Run("return 2 ^ 53", 0, 0)), "0x1p+53");
  EXPECT_EQ(Show(Run("return 2 ^ -1074", 0, 0)), "0x0.0000000000001p-1022");
}

}  // namespace
}  // namespace corod::lua
