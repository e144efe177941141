// List: order, pages, filters, page tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ListTest : public SessionsTest {
 protected:
  struct Page {
    std::vector<std::string> ids;
    std::string next;
  };

  Page List(ListQuery query = {}, std::size_t size = 100, const std::string& token = "") {
    query.page_token = token;
    Page page;
    const absl::StatusOr<std::string> next = ListNow(*sessions_, query, [&](const SessionInfo& info) {
      if (page.ids.size() == size) return false;
      page.ids.push_back(info.key.id);
      return true;
    });
    EXPECT_THAT(next, IsOk());
    if (next.ok()) page.next = *next;
    return page;
  }
  absl::Status ListStatus(const std::string& token, const ListQuery& query = {}) {
    ListQuery asked = query;
    asked.page_token = token;
    return ListNow(*sessions_, asked, [](const SessionInfo&) { return true; }).status();
  }
  void MakeLabelled(const std::string& id, const Labels& labels) {
    CreateSpec spec = Spec("echo", id);
    spec.labels = labels;
    Make(spec);
  }
};

TEST_F(ListTest, OfNothingIsEmptyWithoutAToken) {
  EXPECT_THAT(List().ids, IsEmpty());
  EXPECT_EQ(List().next, "");
}

TEST_F(ListTest, IsInTheOrderOfIds) {
  for (const char* id : {"b", "a.1", "B", "a", "c"}) Make("echo", id);
  EXPECT_THAT(List().ids, ElementsAre("B", "a", "a.1", "b", "c"));
}

TEST_F(ListTest, PagesFollowEachOther) {
  for (const char* id : {"a", "b", "c", "d", "e"}) Make("echo", id);
  const Page first = List({}, 2);
  const Page second = List({}, 2, first.next);
  const Page third = List({}, 2, second.next);
  EXPECT_THAT(first.ids, ElementsAre("a", "b"));
  EXPECT_THAT(second.ids, ElementsAre("c", "d"));
  EXPECT_THAT(third.ids, ElementsAre("e"));
  EXPECT_EQ(third.next, "");
}

TEST_F(ListTest, FullLastPageHasNoToken) {
  for (const char* id : {"a", "b"}) Make("echo", id);
  EXPECT_EQ(List({}, 2).next, "");
}

TEST_F(ListTest, PagesGoOnWhileSessionsComeAndGo) {
  for (const char* id : {"b", "c", "d", "e"}) Make("echo", id);
  const Page first = List({}, 2);
  ASSERT_THAT(Do(Deleting().To("c")), IsOk());  // where the page ended
  ASSERT_THAT(Do(Deleting().To("d")), IsOk());
  Make("echo", "a");
  Make("echo", "cc");
  EXPECT_THAT(List({}, 9, first.next).ids, ElementsAre("cc", "e")) << "each that was there all the time comes once";
}

TEST_F(ListTest, MoreSessionsThanAreFetchedAtOnceComeOnce) {
  for (int i = 0; i < 600; ++i) Make("echo", "s" + std::to_string(1000 + i));
  EXPECT_EQ(List({}, 1000).ids.size(), 600u);
}

TEST_F(ListTest, FiltersByCoroutine) {
  Make("echo", "a");
  Make("counter", "b");
  EXPECT_THAT(List({.coroutine = "counter"}).ids, ElementsAre("b"));
  EXPECT_THAT(List({.coroutine = "count"}).ids, IsEmpty());
}

TEST_F(ListTest, FiltersByState) {
  Make("echo", "created");
  Prime("echo", "suspended");
  Make("echo", "closed");
  ASSERT_THAT(Do(Closing().To("closed")), IsOk());
  EXPECT_THAT(List({.state = CoroutineState::kCreated}).ids, ElementsAre("created"));
  EXPECT_THAT(List({.state = CoroutineState::kSuspended}).ids, ElementsAre("suspended"));
  EXPECT_THAT(List({.state = CoroutineState::kClosed}).ids, ElementsAre("closed"));
}

TEST_F(ListTest, FiltersByStateRunning) {
  Prime("probing", "a");
  Prime("echo", "b");
  std::vector<std::string> running;
  probe_.during = [&] { running = List({.state = CoroutineState::kRunning}).ids; };
  ASSERT_THAT(Do(Sending().To("a")), IsOk());
  EXPECT_THAT(running, ElementsAre("a"));
}

TEST_F(ListTest, FiltersByAllLabels) {
  MakeLabelled("a", {{"team", "x"}, {"kind", "1"}});
  MakeLabelled("b", {{"team", "x"}});
  Make("echo", "c");
  EXPECT_THAT(List({.labels = {{"team", "x"}}}).ids, ElementsAre("a", "b"));
  EXPECT_THAT(List({.labels = {{"team", "x"}, {"kind", "1"}}}).ids, ElementsAre("a"));
  EXPECT_THAT(List({.labels = {{"team", ""}}}).ids, IsEmpty());
}

TEST_F(ListTest, NoEphemeralSessionHasAProblem) {
  Make("echo");
  EXPECT_THAT(List({.has_problem = true}).ids, IsEmpty());
}

TEST_F(ListTest, PageWhereNothingMatchesIsEmptyAndGoesOn) {
  Restart({.max_sessions = 20'000});
  for (int i = 0; i < 11'000; ++i) Make("echo", "s" + std::to_string(10'000 + i));
  Make("counter", "t");
  const Page first = List({.coroutine = "counter"});
  EXPECT_THAT(first.ids, IsEmpty());
  ASSERT_NE(first.next, "");
  const Page second = List({.coroutine = "counter"}, 100, first.next);
  EXPECT_THAT(second.ids, ElementsAre("t"));
  EXPECT_EQ(second.next, "");
}

TEST_F(ListTest, TokenThatWasMadeUpIsRefused) {
  EXPECT_THAT(ListStatus("!"), FailsWith(Reason::INVALID_PAGE_TOKEN));
  EXPECT_THAT(ListStatus("YQ"), FailsWith(Reason::INVALID_PAGE_TOKEN));
}

TEST_F(ListTest, TokenOfAnotherQueryIsRefused) {
  for (const char* id : {"a", "b"}) Make("echo", id);
  const std::string token = List({.coroutine = "echo"}, 1).next;
  EXPECT_THAT(ListStatus(token), FailsWith(Reason::INVALID_PAGE_TOKEN));
  EXPECT_THAT(ListStatus(token, {.coroutine = "echo", .state = CoroutineState::kCreated}),
              FailsWith(Reason::INVALID_PAGE_TOKEN));
  EXPECT_THAT(ListStatus(token, {.coroutine = "echo"}), IsOk());
}

}  // namespace
}  // namespace corod
