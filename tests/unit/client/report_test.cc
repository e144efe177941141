#include "client/cli/report.h"

#include <gtest/gtest.h>

namespace corod::cli {
namespace {

TEST(TracebackTest, ExceptionIsItsTypeAndMessage) {
  EXPECT_EQ(TracebackOf(Exception("ValueError", {Value("bad")})), "ValueError: bad");
  EXPECT_EQ(TracebackOf(Exception("ValueError")), "ValueError");
}

TEST(TracebackTest, TracebackComesBeforeAndNotesAfter) {
  Exception exception("ValueError", {Value("bad")});
  exception.SetTraceback("coroutine a version 1, step 3");
  exception.AddNote("a note");
  EXPECT_EQ(TracebackOf(exception),
            "Traceback (most recent call last):\n  coroutine a version 1, step 3\nValueError: bad\na note");
}

TEST(TracebackTest, CauseIsTheDirectCause) {
  Exception exception("ValueError", {Value("bad")});
  exception.SetCause(Exception("KeyError", {Value("k")}));
  EXPECT_EQ(TracebackOf(exception),
            "KeyError: 'k'\n\nThe above exception was the direct cause of the following exception:\n\nValueError: bad");
}

TEST(TracebackTest, ContextWasBeingHandledUnlessItIsSuppressed) {
  Exception exception("ValueError", {Value("bad")});
  exception.SetContext(Exception("KeyError", {Value("k")}));
  EXPECT_EQ(TracebackOf(exception),
            "KeyError: 'k'\n\nDuring handling of the above exception, another exception occurred:\n\nValueError: bad");
  exception.SetSuppressContext(true);
  EXPECT_EQ(TracebackOf(exception), "ValueError: bad");
}

TEST(OutcomeToJsonTest, KindIsTheKey) {
  EXPECT_EQ(OutcomeToJson(Outcome::Yielded(20.0), 3, false), R"({"step": 3, "yielded": 20.0, "replayed": false})");
  EXPECT_EQ(OutcomeToJson(Outcome::Returned(Value()), 4, true), R"({"step": 4, "returned": null, "replayed": true})");
  EXPECT_EQ(OutcomeToJson(Outcome::Raised(Exception("KeyError", {Value("k")})), 5, std::nullopt),
            R"({"step": 5, "raised": {"type": "KeyError", "message": "'k'", "arguments": ["k"]}})");
}

}  // namespace
}  // namespace corod::cli
