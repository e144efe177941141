#include "tests/unit/session/sessions_test_base.h"

#include "server/coroutine/coroutine.h"

namespace corod {

Value Nested(int depth) {
  Value value = 0;
  for (int level = 0; level < depth; ++level) value = List{value};
  return value;
}

SessionsTest::SessionsTest() {
  AddTestCoroutines(catalog_, probe_);
  Restart({});
}

SessionsTest::~SessionsTest() {
  RunAll();
  Crash();
  EXPECT_EQ(LiveFrames().frames, 0u);
}

void SessionsTest::Restart(const Sessions::Options& options) {
  sessions_ = std::make_unique<Sessions>(options, catalog_, clock_, executor_, random_, *journal_in_use_,
                                         crash_marks_);
}

void SessionsTest::Crash() { sessions_.reset(); }

CreateSpec SessionsTest::Spec(const std::string& coroutine, const std::string& id) {
  CreateSpec spec;
  spec.coroutine = coroutine;
  spec.session_id = id;
  return spec;
}

CreateSpec SessionsTest::PrimedSpec(const std::string& coroutine, const std::string& id) {
  CreateSpec spec = Spec(coroutine, id);
  spec.prime = true;
  return spec;
}

absl::StatusOr<Created> SessionsTest::Create(CreateSpec spec) {
  absl::StatusOr<Created> result = absl::UnknownError("not answered");
  sessions_->Create(std::move(spec), [&result](absl::StatusOr<Created> created) { result = std::move(created); });
  RunAll();
  return result;
}

void SessionsTest::Make(const CreateSpec& spec) {
  const absl::StatusOr<Created> created = Create(spec);
  ASSERT_TRUE(created.ok()) << created.status();
}

Call& SessionsTest::Hold(Operation operation, Value value) {
  return *calls_.emplace_back(std::make_unique<Call>(operation, std::move(value)));
}

Call& SessionsTest::Submit(Call& call) {
  sessions_->Submit(call.session_id, &call);
  return call;
}

absl::StatusOr<Reply> SessionsTest::Do(Call& call) {
  Submit(call);
  RunAll();
  if (!call.answered()) return absl::UnknownError("not answered");
  return call.answer();
}

SessionInfo SessionsTest::Look(const std::string& id) const {
  absl::StatusOr<SessionInfo> info = GetNow(*sessions_, id, std::nullopt);
  EXPECT_TRUE(info.ok()) << info.status();
  return info.ok() ? *std::move(info) : SessionInfo();
}

void SessionsTest::Pass(absl::Duration time) {
  clock_.Advance(time);
  Sweep();
}

void SessionsTest::Sweep() {
  sessions_->Sweep();
  RunAll();
}

}  // namespace corod
