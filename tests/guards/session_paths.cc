// Without messages: a resume, and the session layer.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/coroutine/coroutine.h"
#include "server/lua/scripts.h"
#include "tests/guards/path.h"
#include "tests/guards/world.h"

namespace corod::guards {
namespace {

constexpr std::int64_t kSent = 7;

// A Send whose answer is looked at.
struct Sent : Command {
  void Finish(absl::StatusOr<Reply> reply) override {
    yielded = reply.ok() && !reply->replayed && reply->outcome && reply->outcome->kind == Outcome::Kind::kYielded;
  }
  bool yielded = false;
};

class Resume : public Path {
 public:
  Resume() {
    builtin::AddAverager(catalog_);
    coroutine_ = catalog_.Find("averager")->Make({});
    coroutine_.Next();
  }

  void Go(int times) override {
    Outcome last;
    for (int i = 0; i < times; ++i) last = coroutine_.Send(Value(kSent));
    Require(last.value.AsNumber() == static_cast<double>(kSent), "the average is wrong");
  }

 private:
  Catalog catalog_;
  Coroutine coroutine_;
};

class LuaResume : public Path {
 public:
  LuaResume() {
    std::variant<Definition, std::string> defined = scripts_.Define("averager", 1, kLuaAverager, "");
    Require(std::holds_alternative<Definition>(defined), "the script cannot be defined");
    definition_ = std::get<Definition>(std::move(defined));
    coroutine_ = definition_.Make({});
    coroutine_.Next();
  }

  void Go(int times) override {
    Outcome last;
    for (int i = 0; i < times; ++i) last = coroutine_.Send(Value(kSent));
    Require(last.value.AsNumber() == static_cast<double>(kSent), "the average is wrong");
  }

 private:
  static constexpr const char* kLuaAverager = R"(
    return function()
      local total, count = 0, 0
      local average
      while true do
        total = total + yield(average)
        count = count + 1
        average = total / count
      end
    end)";

  Catalog catalog_;
  lua::Scripts scripts_{catalog_};
  Definition definition_;
  Coroutine coroutine_;
};

// The short way of a Send.
class ShortWay : public Path {
 public:
  ShortWay() : session_(world_.Create("s", Durability::kEphemeral)) {
    // The short way is for coroutines that are known to be quick.
    for (int i = 0; i < 100; ++i) {
      Sent send;
      send.value = Value(kSent);
      world_.sessions().Submit("s", &send);
      world_.RunAll();
      Require(send.yielded, "a step failed");
    }
  }

  void Go(int times) override {
    absl::Time now = world_.Now();
    for (int i = 0; i < times; ++i) {
      Reply reply;
      Value value(kSent);
      Require(session_->BeginSend(now, reply), "a Send did not go the short way");
      session_->FinishSend(value, now, reply);
      Require(reply.outcome && reply.outcome->kind == Outcome::Kind::kYielded, "a step failed");
    }
  }

 private:
  World world_;
  const SessionPtr session_;
};

// Through the session's queue, one command at a time. The command is made once: what it takes is its maker's.
class Submit : public Path {
 public:
  enum class Ids : std::uint8_t { kNone, kEach };

  Submit(Durability durability, Ids ids) : ids_(ids) { world_.Create("s", durability); }

  void Go(int times) override {
    for (int i = 0; i < times; ++i) {
      send_.value = Value(kSent);
      if (ids_ == Ids::kEach) made_.Next(send_.request_id);
      world_.sessions().Submit("s", &send_);
      world_.RunAll();
      Require(std::exchange(send_.yielded, false), "a step failed");
    }
  }

  Counts counts() const override { return {.appends = world_.appends()}; }

 private:
  World world_;
  const Ids ids_;
  RequestIds made_;
  Sent send_;
};

}  // namespace

std::vector<NamedPath> SessionPaths() {
  using Has = NamedPath::Has;
  const auto submit = [](Durability durability, Submit::Ids ids) {
    return [=] { return std::make_unique<Submit>(durability, ids); };
  };
  std::vector<NamedPath> paths;
  paths.push_back({.name = "resume", .times = 2'000, .steps = 1, .make = [] { return std::make_unique<Resume>(); }});
  paths.push_back(
      {.name = "lua_resume", .times = 2'000, .steps = 1, .make = [] { return std::make_unique<LuaResume>(); }});
  paths.push_back(
      {.name = "short_way", .times = 2'000, .steps = 1, .make = [] { return std::make_unique<ShortWay>(); }});
  paths.push_back(
      {.name = "submit", .times = 2'000, .steps = 1, .make = submit(Durability::kEphemeral, Submit::Ids::kNone)});
  paths.push_back({.name = "submit_request_id",
                   .times = 2'000,
                   .steps = 1,
                   .make = submit(Durability::kEphemeral, Submit::Ids::kEach)});
  paths.push_back({.name = "durable",
                   .times = 2'000,
                   .steps = 1,
                   .has = Has::kAppends,
                   .make = submit(Durability::kDurable, Submit::Ids::kNone)});
  paths.push_back({.name = "durable_request_id",
                   .times = 2'000,
                   .steps = 1,
                   .has = Has::kAppends,
                   .make = submit(Durability::kDurable, Submit::Ids::kEach)});
  return paths;
}

}  // namespace corod::guards
