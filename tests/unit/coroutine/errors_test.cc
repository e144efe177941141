#include "server/coroutine/errors.h"

#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "gtest/gtest.h"

namespace corod {
namespace {

// What `raise` throws, caught as an E; "" if it is not one.
template <typename E, typename F>
std::string CaughtAs(const F& raise) {
  try {
    raise();
  } catch (const E& e) {
    return e.type();
  } catch (...) {
  }
  return "";
}

template <typename E, typename Base>
void ExpectBuiltin(const std::string& name, const std::string& base) {
  const std::string type = name == "CancelledError" ? "asyncio.CancelledError" : name;
  const Exception exception(type, {"v"});
  const auto rethrow = [&] { Rethrow(exception); };
  EXPECT_EQ((CaughtAs<E>(rethrow)), type);
  EXPECT_EQ((CaughtAs<Base>(rethrow)), type);
  EXPECT_EQ((CaughtAs<py::BaseException>(rethrow)), type);
  EXPECT_EQ((CaughtAs<E>([] { throw E("v"); })), type);
  EXPECT_TRUE(exception.IsA(name == "CancelledError" ? type : name));
  EXPECT_TRUE(exception.IsA(base)) << name;
  EXPECT_EQ(BuiltinBaseOf(type), base);
}

TEST(ErrorsTest, EveryBuiltinIsCaughtAsItselfAndAsItsBase){
#define COROD_EXPECT(Name, Base) ExpectBuiltin<py::Name, py::Base>(#Name, #Base);
    COROD_BUILTIN_EXCEPTIONS(COROD_EXPECT)
#undef COROD_EXPECT
}

TEST(ErrorsTest, ABaseIsNotCaughtAsWhatDerivesFromIt) {
  EXPECT_EQ(CaughtAs<py::KeyError>([] { throw py::LookupError("l"); }), "");
  EXPECT_EQ(CaughtAs<py::Exception>([] { throw py::BaseException("b"); }), "");
  EXPECT_FALSE(Exception("LookupError").IsA("KeyError"));
}

TEST(ErrorsTest, GeneratorExitIsNoStdException) {
  EXPECT_FALSE((std::is_base_of_v<std::exception, py::GeneratorExit>));
  EXPECT_FALSE((std::is_base_of_v<py::Exception, py::GeneratorExit>));
}

TEST(ErrorsTest, AnExceptionIsAStdExceptionWithItsMessage) {
  try {
    throw py::KeyError("k");
  } catch (const std::exception& e) {
    EXPECT_STREQ(e.what(), "'k'");
  }
}

TEST(ErrorsTest, AUserTypeArrivesAsItsNearestBuiltinBase) {
  const Exception exception("app.Missing", {"m"},
                            {"app.Error", "KeyError", "LookupError", "Exception", "BaseException"});
  const auto rethrow = [&] { Rethrow(exception); };
  EXPECT_EQ(CaughtAs<py::KeyError>(rethrow), "app.Missing");
  EXPECT_EQ(CaughtAs<py::ValueError>(rethrow), "");
}

TEST(ErrorsTest, AUserTypeWithoutBuiltinBasesArrivesAsAnException) {
  const Exception exception("app.Error", {}, {"app.Base"});
  EXPECT_EQ(CaughtAs<py::Exception>([&] { Rethrow(exception); }), "app.Error");
}

TEST(ErrorsTest, AUserTypeOfABaseExceptionAloneArrivesAsThat) {
  const Exception exception("app.Abort", {}, {"BaseException"});
  EXPECT_EQ(CaughtAs<py::Exception>([&] { Rethrow(exception); }), "");
  EXPECT_EQ(CaughtAs<py::BaseException>([&] { Rethrow(exception); }), "app.Abort");
}

TEST(ErrorsTest, WhatIsThrownInAHandlerHasTheHandledOneAsContext) {
  try {
    try {
      throw py::ValueError("v");
    } catch (...) {
      throw py::KeyError("k");
    }
  } catch (const py::KeyError& e) {
    EXPECT_EQ(e.context()->type(), "ValueError");
  }
}

TEST(ErrorsTest, WhatIsThrownOutsideOfHandlersHasNoContext) {
  try {
    throw py::ValueError("v");
  } catch (...) {
  }
  EXPECT_FALSE(py::KeyError("k").context());
}

TEST(ErrorsTest, RaiseSetsTheContextAndRethrowLeavesIt) {
  const Exception raised("KeyError");
  const Exception rethrown("KeyError");
  try {
    throw py::ValueError("v");
  } catch (...) {
    EXPECT_EQ(CaughtAs<py::KeyError>([&] { Raise(raised); }), "KeyError");
    EXPECT_EQ(CaughtAs<py::KeyError>([&] { Rethrow(rethrown); }), "KeyError");
  }
  EXPECT_EQ(raised.context()->type(), "ValueError");
  EXPECT_FALSE(rethrown.context());
}

TEST(ErrorsTest, FromSetsTheCauseAndKeepsTheClass) {
  const Exception cause("ValueError");
  const py::KeyError error = From(py::KeyError("k"), cause);
  EXPECT_TRUE(error.cause()->Is(cause));
  EXPECT_TRUE(error.suppress_context());
}

TEST(ErrorsTest, WhatIsCaughtIsTheSameObjectAsWhatWasRaised) {
  const Exception exception("OSError");
  try {
    Raise(exception);
  } catch (const py::OSError& e) {
    EXPECT_TRUE(e.Is(exception));
  }
}

std::string CurrentIn(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (...) {
    const Exception current = *CurrentException();
    return current.type() + ": " + current.message();
  }
}

TEST(ErrorsTest, CurrentExceptionTranslatesWhatIsNotOurs) {
  EXPECT_FALSE(CurrentException());
  EXPECT_EQ(CurrentIn(std::make_exception_ptr(py::KeyError("k"))), "KeyError: 'k'");
  EXPECT_EQ(CurrentIn(std::make_exception_ptr(std::bad_alloc())), "MemoryError: ");
  EXPECT_EQ(CurrentIn(std::make_exception_ptr(std::runtime_error("r"))), "RuntimeError: r");
  EXPECT_EQ(CurrentIn(std::make_exception_ptr(5)),
            "SystemError: an exception that is not a std::exception left the body");
}

}  // namespace
}  // namespace corod
