#ifndef COROD_TESTS_BENCH_LOAD_H_
#define COROD_TESTS_BENCH_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/load/drive_load.h"
#include "client/load/found.h"
#include "client/load/sessions.h"
#include "client/load/unary_load.h"
#include "corod/v1/coroutine_service.grpc.pb.h"
#include "tests/bench/comparison.h"
#include "tests/bench/report.h"

namespace grpc {
class Channel;
}

namespace corod::bench {

using load::SessionId;

// A connection of its own to a server on this machine.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

inline constexpr int kOutstanding = 64;
inline constexpr char kSend[] = "/corod.v1.CoroutineService/Send";

// What came of a load. Fails if it did.
load::Found Fine(absl::StatusOr<load::Found> found);

// Unary Sends to `sessions` averagers of that kind, `kOutstanding` at a time; or as `options` say, but for the method
// and what is looked at.
std::shared_ptr<load::UnaryLoad> SendLoad(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
                                          std::uint64_t sessions,
                                          load::UnaryLoad::Options options = {.outstanding = kOutstanding});

// Drive by `batch` to `sessions` averagers of that kind, with as many streams and messages under way as the bare echo
// answers most with. `pool`: how many commands are serialized before and sent again and again; at least one message.
std::shared_ptr<load::DriveLoad> DriveBy(std::size_t batch, const std::shared_ptr<grpc::Channel>& channel,
                                         const std::string& kind, std::uint64_t sessions, std::uint64_t pool = 0);
// With as much under way as `options` says.
std::shared_ptr<load::DriveLoad> Drive(const load::DriveLoad::Options& options,
                                       const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
                                       std::uint64_t sessions, std::uint64_t pool = 0);

// A contestant whose figure is the commands a second of `load`, each turn.
template <typename Load>
Contestant AsFastAsItCan(std::string name, std::string what, std::shared_ptr<Load> load, const Settings& settings) {
  return {.name = std::move(name), .what = std::move(what), .run = [load = std::move(load), turn = settings.turn] {
            return Fine(load->Run(turn)).rate();
          }};
}

// Lets `of` and `to` take turns, and adds their ratio and their rates.
void CompareRates(const Settings& settings, Report& report, Figure ratio, Contestant of, Contestant to);
// Adds the rates of one that has taken its turns.
void AddRates(const Contestant& contestant, Report& report);

// How long one Send to `session_id` takes, as its caller sees it. Fails if the call does.
absl::Duration TimeOneSend(v1::CoroutineService::Stub& stub, const std::string& session_id);

// As load::SendOnce. Fails if anything is wrong.
void Drive(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
           const std::function<void(std::uint64_t number, v1::Command& command)>& make,
           const load::SendOptions& options = {});

// Makes and primes sessions 0 to before `count` of a coroutine with the ids SessionId(kind, ...).
void CreateSessions(const std::shared_ptr<grpc::Channel>& channel, const std::string& coroutine,
                    const std::string& kind, std::uint64_t count, v1::Durability durability);
// The same of averager.
void CreateAveragers(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind, std::uint64_t count,
                     v1::Durability durability);

// Defines a coroutine in Lua. Fails if that is refused.
void DefineScript(const std::shared_ptr<grpc::Channel>& channel, const std::string& name, const std::string& source);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_LOAD_H_
