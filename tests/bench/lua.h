#ifndef COROD_TESTS_BENCH_LUA_H_
#define COROD_TESTS_BENCH_LUA_H_

namespace corod::bench {

inline constexpr const char* kLuaAveragerSource = R"(
return function()
  local total, count = 0, 0
  local average
  while true do
    total = total + yield(average)
    count = count + 1
    average = total / count
  end
end)";

// How many steps a thread takes in a second, of 1,000 sessions in turn, `rounds` each.
double LuaStepsASecond(int rounds);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_LUA_H_
