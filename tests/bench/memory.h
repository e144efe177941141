#ifndef COROD_TESTS_BENCH_MEMORY_H_
#define COROD_TESTS_BENCH_MEMORY_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/server_process.h"

namespace corod::bench {

// Looks again until `holds`. Fails if that takes half an hour.
void Await(const std::string& what, const std::function<bool()>& holds);

// The same command, for a server that gives memory back a second after it is free; else it takes half a minute.
std::vector<std::string> GivingBackSoon(std::vector<std::string> command);

// What such a server holds when that does not shrink any more.
Memory SettledMemory(const ServerProcess& server);

// The number behind the last `text` in a log.
std::optional<double> NumberBehind(const std::string& log, const std::string& text);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_MEMORY_H_
