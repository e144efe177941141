// Drive against a model: random commands for a few sessions, durable and ephemeral, sent in random messages. What a
// command gets does not depend on the way that it goes.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/rpc/drive_test_base.h"

namespace corod::rpc {
namespace {

// What a reply says, in a line.
std::string LineOf(const v1::Reply& reply) {
  std::string line;
  switch (reply.result_case()) {
    case v1::Reply::kOutcome: {
      const v1::Outcome& outcome = reply.outcome();
      line = std::to_string(outcome.step());
      if (outcome.has_yielded()) {
        const v1::Value& value = outcome.yielded();
        line += " yielded";
        if (value.has_integer()) line += " " + std::to_string(value.integer());
        if (value.has_list()) line += " [" + std::to_string(value.list().items(0).integer()) + "]";
      } else if (outcome.has_returned()) {
        line += " returned";
      } else if (outcome.has_raised()) {
        line += " raised";
      } else {
        line += " nothing";
      }
      break;
    }
    case v1::Reply::kCreated:
      line = "created";
      break;
    case v1::Reply::kFailure:
      line = reply.failure().reason();
      break;
    case v1::Reply::RESULT_NOT_SET:
      line = "no result";
      break;
  }
  return reply.replayed() ? line + " again" : line;
}

// A session of `echo` as one stream alone sees it.
class Model {
 public:
  // What the command gets.
  std::string Take(const v1::Command& command) {
    if (failed_ && !command.resume()) return "PREDECESSOR_FAILED";
    failed_ = false;
    std::string line = command.has_create() ? Create(command.create()) : Step(command);
    failed_ = std::isupper(static_cast<unsigned char>(line[0])) != 0;
    return line;
  }
  // One that would be refused otherwise.
  std::uint64_t next_step() const { return steps_ + 1; }

 private:
  enum class State : std::uint8_t { kAbsent, kCreated, kSuspended, kClosed };
  // What became of a command with a request id.
  struct Known {
    std::string operation;
    std::uint64_t step;
    std::string outcome;
    std::string value;
  };

  std::string Create(const v1::CreateRequest& create) {
    if (state_ != State::kAbsent && state_ != State::kClosed) return "SESSION_EXISTS";
    known_.clear();
    steps_ = create.prime() ? 1 : 0;
    state_ = create.prime() ? State::kSuspended : State::kCreated;
    return "created";
  }

  static std::string Say(const Known& step, bool quiet) {
    return std::to_string(step.step) + " " + step.outcome + (quiet ? "" : step.value);
  }

  std::string Step(const v1::Command& command) {
    if (command.request_id().size() > 128) return "INVALID_ARGUMENTS";
    if (state_ == State::kAbsent) return "SESSION_NOT_FOUND";
    v1::Command what;
    if (command.has_send()) *what.mutable_send() = command.send();
    if (command.has_throw_()) *what.mutable_throw_() = command.throw_();
    if (command.has_close()) *what.mutable_close() = command.close();
    Known step{.operation = what.SerializeAsString(), .step = steps_ + 1, .outcome = {}, .value = {}};
    if (const auto known = known_.find(command.request_id()); known != known_.end()) {
      if (known->second.operation != step.operation) return "REQUEST_ID_REUSED";
      return Say(known->second, command.quiet()) + " again";
    }
    if (command.expected_step() != 0 && command.expected_step() != step.step) return "STEP_MISMATCH";
    const bool sends_value = command.has_send() && command.send().kind_case() != v1::Value::KIND_NOT_SET;
    if (state_ == State::kCreated && sends_value) return "NOT_PRIMED";
    if (command.has_throw_()) {
      step.outcome = "raised";
      state_ = State::kClosed;
    } else if (command.has_close() || state_ == State::kClosed) {
      step.outcome = "returned";
      state_ = State::kClosed;
    } else {
      step.outcome = "yielded";
      if (command.send().has_integer()) step.value = " " + std::to_string(command.send().integer());
      if (command.send().has_list()) {
        step.value = " [" + std::to_string(command.send().list().items(0).integer()) + "]";
      }
      state_ = State::kSuspended;
    }
    ++steps_;
    if (!command.request_id().empty()) known_[command.request_id()] = step;
    return Say(step, command.quiet());
  }

  State state_ = State::kAbsent;
  std::uint64_t steps_ = 0;
  bool failed_ = false;
  std::map<std::string, Known> known_;
};

// Makes commands for some sessions, and knows what each gets.
class Script {
 public:
  Script(unsigned number, unsigned sessions) : random_(number), number_(number), models_(sessions) {}

  // A message.
  std::vector<v1::Command> Next() {
    std::vector<v1::Command> commands;
    for (unsigned count = 1 + Below(Below(4) == 0 ? 60 : 6); count > 0; --count) {
      // Often a few in a row for one.
      if (Below(3) == 0) session_ = Below(static_cast<unsigned>(models_.size()));
      v1::Command command = Make();
      const std::string id = IdOf(session_);
      const bool leaves_out = session_ == previous_ && Below(3) == 0;
      if (command.has_create()) {
        command.mutable_create()->set_session_id(id);
      } else if (!leaves_out) {
        command.set_session_id(id);
      }
      previous_ = session_;
      expected_.push_back(models_[session_].Take(command));
      of_.push_back(session_);
      commands.push_back(std::move(command));
    }
    return commands;
  }

  // Of the command with that tag: what it gets, and whose it is.
  const std::string& expected(std::uint64_t tag) const { return expected_.at(tag - 1); }
  unsigned session(std::uint64_t tag) const { return of_.at(tag - 1); }
  std::size_t size() const { return expected_.size(); }

 private:
  unsigned Below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  std::string IdOf(unsigned session) const { return std::to_string(number_) + "." + std::to_string(session); }

  v1::Command Make() {
    v1::Command command;
    const Model& model = models_[session_];
    const unsigned what = Below(40);
    if (what == 0) {
      command.mutable_close();
    } else if (what == 1) {
      command.mutable_throw_()->set_type("ValueError");
    } else if (what <= 4) {
      v1::CreateRequest& create = *command.mutable_create();
      create.set_coroutine("echo");
      create.set_prime(Below(4) != 0);
      create.set_if_exists(v1::IF_EXISTS_REPLACE_FINISHED);
      // Every other one is durable.
      create.set_durability(session_ % 2 == 0 ? v1::DURABILITY_DURABLE : v1::DURABILITY_EPHEMERAL);
    } else if (what <= 8) {
      command.mutable_send()->mutable_list()->add_items()->set_integer(Below(3));
    } else if (what == 9) {
      command.mutable_send();
    } else {
      command.mutable_send()->set_integer(Below(1'000));
    }
    if (Below(3) == 0) command.set_resume(true);
    if (Below(8) == 0) command.set_quiet(true);
    if (command.has_create()) return command;
    if (Below(8) == 0) command.set_expected_step(model.next_step() + (Below(4) == 0 ? 1 : 0));
    const unsigned id = Below(60);
    if (id == 0) {
      command.set_request_id(std::string(129, 'r'));
    } else if (id <= 3 && !sent_.empty()) {  // one that was sent before, perhaps with something else, perhaps elsewhere
      const v1::Command& before = sent_[Below(static_cast<unsigned>(sent_.size()))];
      if (Below(4) != 0) command = before;
      command.set_request_id(before.request_id());
      command.clear_session_id();
    } else if (id <= 12) {
      command.set_request_id("r" + std::to_string(sent_.size()));
      sent_.push_back(command);
    }
    return command;
  }

  std::mt19937 random_;
  const unsigned number_;
  std::vector<Model> models_;
  unsigned session_ = 0;
  std::optional<unsigned> previous_;
  std::vector<v1::Command> sent_;  // with a request id
  std::vector<std::string> expected_;
  std::vector<unsigned> of_;
};

class DriveRandomTest : public DriveTestBase {
 protected:
  static Sessions::Options PuttingToSleepAtOnce() {
    Sessions::Options options;
    options.durability.passivate_after = absl::ZeroDuration();
    return options;
  }
  DriveRandomTest() : DriveTestBase(Journaling::kDurable, Scopes::kAroundTasks, PuttingToSleepAtOnce()) {}

  // On a stream of its own. `sleeps`: durable sessions leave memory every now and then.
  void Follow(unsigned number, unsigned sessions, unsigned messages, bool sleeps) {
    Script script(number, sessions);
    std::mt19937 random(number);
    Stream stream(*stub_);
    std::size_t read = 0;
    std::map<unsigned, std::uint64_t> last;  // tags
    const auto compare = [&] {
      for (const v1::Reply& reply : stream.Read(script.size() - read)) {
        ++read;
        ASSERT_EQ(LineOf(reply), script.expected(reply.tag())) << "command " << reply.tag();
        std::uint64_t& before = last[script.session(reply.tag())];
        ASSERT_GT(reply.tag(), before) << "replies of a session in its order";
        before = reply.tag();
      }
    };
    for (unsigned i = 0; i < messages; ++i) {
      ASSERT_TRUE(stream.Write(script.Next()));
      if (random() % 3 == 0) ASSERT_NO_FATAL_FAILURE(compare());
      if (sleeps && random() % 4 == 0) sessions_->Sweep();
    }
    ASSERT_NO_FATAL_FAILURE(compare());
    EXPECT_TRUE(stream.HalfClose().ok());
    EXPECT_EQ(read, script.size());
    EXPECT_TRUE(stream.unread().empty());
  }
};

TEST_F(DriveRandomTest, EachCommandGetsWhatTheModelSays) {
  for (unsigned number = 0; number < 20; ++number) {
    SCOPED_TRACE(number);
    ASSERT_NO_FATAL_FAILURE(Follow(number, 1 + number % 6, 60, number % 2 == 1));
  }
}

TEST_F(DriveRandomTest, AlsoWithManyStreamsAtOnce) {
  std::vector<std::thread> threads;
  for (unsigned number = 100; number < 104; ++number) {
    threads.emplace_back([this, number] { Follow(number, 5, 150, number == 100); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace corod::rpc
