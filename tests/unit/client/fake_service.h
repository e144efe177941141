#ifndef COROD_TESTS_UNIT_CLIENT_FAKE_SERVICE_H_
#define COROD_TESTS_UNIT_CLIENT_FAKE_SERVICE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "corod/v1/catalog_service.pb.h"
#include "corod/v1/coroutine_service.pb.h"

namespace corod::client {

// A refusal, as the server sends it.
struct Refusal {
  int code = 0;  // a google.rpc.Code
  std::string reason = {};
  std::string message = "refused";
  std::map<std::string, std::string> metadata = {};
  absl::Duration retry_delay = absl::ZeroDuration();
};

v1::Outcome Yielded(std::uint64_t step, const v1::Value& value);
v1::Outcome Returned(std::uint64_t step, const v1::Value& value);
v1::Outcome Raised(std::uint64_t step, const std::string& type, const std::string& message);
// A Send of `sent` that became the step of `outcome`.
v1::Event SendEvent(const v1::Value& sent, const v1::Outcome& outcome);
v1::Value TextValue(const std::string& text);
v1::Value IntegerValue(std::int64_t integer);

// A corod on a loopback port that does what a test says and writes down what it is asked. Its only session is "s1"; a
// step yields what was sent, unless `on_step` says otherwise.
class FakeService {
 public:
  // What the service was asked, in the order of arrival.
  struct Requests {
    std::vector<v1::CreateRequest> create;
    std::vector<v1::SendRequest> send;
    std::vector<v1::ThrowRequest> raise;
    std::vector<v1::CloseRequest> close;
    std::vector<v1::DeleteRequest> remove;
    std::vector<v1::GetRequest> get;
    std::vector<v1::ListRequest> list;
    std::vector<v1::GetCoroutineRequest> get_coroutine;
    std::vector<v1::DefineCoroutineRequest> define;
    std::vector<v1::DeleteCoroutineRequest> undefine;
    std::vector<v1::ForkRequest> fork;
    std::vector<v1::WatchRequest> watch;
    std::vector<v1::ExportRequest> exported;
    // One for each Import: its chunks in one, with the session id of the first message.
    std::vector<v1::ImportRequest> imported;
    std::vector<v1::Command> commands;
    int drive_calls = 0;
  };

  // How one call that streams to the client goes.
  struct Streaming {
    int messages = -1;   // how many it sends, -1: all there are
    Refusal end = {};    // how it ends then; code 0: fine
    bool stays = false;  // then it waits for the end of the service
  };

  // What the service does. To be set before the first call, or between two.
  struct Script {
    // The next so many unary calls fail with `failure`.
    int failures = 0;
    Refusal failure;
    // What Create answers; the session "s1" if unset.
    std::function<v1::CreateResponse(const v1::CreateRequest&)> on_create;
    // The outcome of a Send, a Throw and a command on Drive. Runs on a thread of gRPC's.
    std::function<v1::Outcome(std::uint64_t step, const v1::Value& sent)> on_step;
    // What a command on Drive is answered, in the place of on_step.
    std::function<v1::Reply(const v1::Command&)> on_command;
    // A Drive call breaks with UNAVAILABLE after so many commands have been answered on it; one entry for each call.
    std::vector<int> break_drive_after;
    // What Watch streams, from the step asked for on; without one, what is beyond session.steps.
    std::vector<v1::Event> events;
    // Runs before each event is sent, on a thread of gRPC's.
    std::function<void(const v1::Event&)> on_event;
    // What Export streams.
    std::vector<std::string> chunks;
    // Runs after the last chunk was sent, on a thread of gRPC's.
    std::function<void()> on_exported;
    // One entry for each call of Watch or Export; those beyond go to their end.
    std::vector<Streaming> streams;
    // What Get answers; `session` if unset.
    std::function<v1::Session(const v1::GetRequest&)> on_get;
    v1::Outcome close_outcome;
    v1::Session session;
    std::vector<v1::ListResponse> pages;
    std::vector<v1::Coroutine> catalog;
    // What DefineCoroutine says, unless its code is 0. Else it defines nothing, and answers with what it was asked:
    // with the version in the catalog if that has this source, the next one if it has another.
    Refusal define_failure = {};
  };

  FakeService();
  ~FakeService();

  // 127.0.0.1:port
  const std::string& address() const { return address_; }
  Script& script() { return script_; }
  Requests requests() const;

 private:
  class Coroutines;
  class Catalog;
  class State;

  Script script_;
  std::unique_ptr<State> state_;
  std::string address_;
};

}  // namespace corod::client

#endif  // COROD_TESTS_UNIT_CLIENT_FAKE_SERVICE_H_
