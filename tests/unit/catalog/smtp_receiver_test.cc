#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "server/coroutine/limits.h"
#include "tests/unit/catalog/driving.h"

namespace corod {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class SmtpTest : public DrivingTest {
 protected:
  void SendMessage(const std::string& data) {
    EXPECT_THAT(Send("MAIL FROM:<a@example.org>"), Yields("250 2.1.0 sender accepted"));
    EXPECT_THAT(Send("RCPT TO:<b@example.org>"), Yields("250 2.1.5 recipient accepted"));
    EXPECT_EQ(Send("DATA").kind, Outcome::Kind::kYielded);
    EXPECT_THAT(Send(data), Yields(nullptr));
  }
};

TEST_F(SmtpTest, EhloReplyIsOneTextOfSeveralLines) {
  EXPECT_THAT(Create("smtp_receiver"), Yields("220 localhost SMTP"));
  EXPECT_THAT(Send("EHLO [127.0.0.1]\r\n"),
              Yields("250-localhost\r\n250-SIZE 800000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP"));
}

TEST_F(SmtpTest, RecipientAfterTheHundredthIsRefusedAndTheDialogueGoesOn) {
  Create("smtp_receiver");
  Send("HELO c");
  Send("MAIL FROM:<>");
  for (int i = 0; i < 100; ++i) EXPECT_THAT(Send("RCPT TO:<b@example.org>"), Yields("250 2.1.5 recipient accepted"));
  EXPECT_THAT(Send("RCPT TO:<b@example.org>"), Yields("452 4.5.3 too many recipients"));
  EXPECT_THAT(Send("DATA"), Yields("354 end the message with a line that holds a dot alone"));
}

TEST_F(SmtpTest, MessageWithSmuggledLinesIsRefused) {
  Create("smtp_receiver");
  Send("HELO c");
  SendMessage("a\r\n.\r\nMAIL FROM:<x@example.org>");
  EXPECT_THAT(Send("."), Yields("554 5.6.0 a line of the message holds a line break"));
  SendMessage("b");
  EXPECT_THAT(Send("."), Yields("250 2.0.0 message 1 accepted"));
}

TEST_F(SmtpTest, MessagesThatAreTooLargeTogetherAreRefused) {
  Create("smtp_receiver");
  Send("HELO c");
  SendMessage(std::string(900'000, 'x'));
  EXPECT_THAT(Send("."), Yields("552 5.3.4 message too big"));
  SendMessage(std::string(500'000, 'x'));
  EXPECT_THAT(Send("."), Yields("250 2.0.0 message 1 accepted"));
  SendMessage(std::string(500'000, 'x'));
  EXPECT_THAT(Send("."), Yields("452 4.3.1 no room for another message in this session"));
  const Outcome outcome = Send("QUIT");
  EXPECT_EQ(outcome.value.AsMap().Find("messages")->AsList().size(), 1u);
  EXPECT_EQ(Measure(outcome.value, ValueLimits()).fault, ValueMeasure::Fault::kNone);
}

TEST_F(SmtpTest, ErrorThrownInsideAMessageReturnsThoseBeforeIt) {
  Create("smtp_receiver");
  Send("HELO c");
  SendMessage("one");
  Send(".");
  SendMessage("two");
  EXPECT_THAT(
      Throw("TimeoutError"),
      Returns(Map{
          {"reply", "421 localhost closing transmission channel"},
          {"messages", ListOf(Map{{"from", "a@example.org"}, {"to", List{"b@example.org"}}, {"data", "one\r\n"}})}}));
}

TEST_F(SmtpTest, CloseReturnsNullAndKeyboardInterruptGoesThrough) {
  Create("smtp_receiver");
  EXPECT_THAT(Close(), Returns(nullptr));
  Create("smtp_receiver");
  EXPECT_THAT(Throw("KeyboardInterrupt"), Raises("KeyboardInterrupt", ""));
}

TEST_F(SmtpTest, LineThatIsNoTextIsRefused) {
  Create("smtp_receiver");
  EXPECT_THAT(Next(), Raises("TypeError", "line must be str, not NoneType"));
}

TEST_F(SmtpTest, HostnameMustBeADomain) {
  EXPECT_THAT(
      [&] { Create("smtp_receiver", {{"hostname", "a b\r\n"}}); },
      ThrowsMessage<std::invalid_argument>(HasSubstr("argument 'hostname' must be a domain or an address literal")));
}

}  // namespace
}  // namespace corod
