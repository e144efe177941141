// Namespaces: what one has does not exist for another, and each is held to what it may.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/base/uuid.h"
#include "server/catalog/namespaces.h"
#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(NamesTest, ThoseOfDefaultAreKeptAsTheyAre) {
  EXPECT_EQ(Qualified("default", "s"), "s");
  EXPECT_EQ(NamespaceOf("s"), "default");
  EXPECT_EQ(LocalName("s"), "s");
}

TEST(NamesTest, ThoseOfAnotherHaveItBeforeThem) {
  EXPECT_EQ(Qualified("blue", "s"), "/blue/s");
  EXPECT_EQ(NamespaceOf("/blue/s"), "blue");
  EXPECT_EQ(LocalName("/blue/s"), "s");
  EXPECT_EQ(LocalName("/blue/"), "");
}

TEST(NamesTest, NoNameOfOneIsThatOfAnother) {
  // As a client could send it, to reach what is not its own.
  for (const std::string name : {"/blue/s", "/", "//", "/blue", "/default/s"}) {
    for (const std::string name_space : {"default", "red"}) {
      const std::string qualified = Qualified(name_space, name);
      EXPECT_EQ(NamespaceOf(qualified), name_space) << name;
      EXPECT_EQ(LocalName(qualified), name);
    }
  }
}

TEST(NamesTest, AllOfANamespaceLieTogether) {
  const std::string before = BeforeNamesOf("blue");
  EXPECT_LT(before, Qualified("blue", "0"));
  EXPECT_TRUE(Qualified("blue", "z").starts_with(before));
  EXPECT_FALSE(Qualified("blue2", "a").starts_with(before));
  EXPECT_LT(Qualified("zz", "z"), BeforeNamesOf("default"));
  EXPECT_LT(BeforeNamesOf("default"), "0");
}

class NamespaceTest : public DurableTest {
 protected:
  CreateSpec In(const std::string& name_space, const std::string& id, Durability durability = Durability::kDurable) {
    CreateSpec spec = PrimedSpec("echo", Qualified(name_space, id));
    spec.owner.name_space = name_space;
    spec.durability = durability;
    return spec;
  }
  std::vector<std::string> ListOf(const std::string& name_space, std::size_t page_size = 100,
                                  const std::string& token = "") {
    ListQuery query;
    query.name_space = name_space;
    query.page_token = token;
    query.page_size = page_size;
    std::vector<std::string> ids;
    const absl::StatusOr<std::string> next = ListNow(query, [&](const SessionInfo& info) {
      if (ids.size() == page_size) return false;
      ids.emplace_back(info.key.id);
      return true;
    });
    EXPECT_THAT(next, IsOk());
    next_ = next.ok() ? *next : "";
    return ids;
  }
  absl::StatusOr<std::string> ListNow(const ListQuery& query, const Overview::Each& each) {
    return corod::ListNow(*sessions_, query, each, [this] { RunAll(); });
  }
  void Limit(const std::string& name_space, const NamespaceLimits& limits) {
    sessions_->accounts().SetLimits({{name_space, limits}}, {});
  }

  std::string next_;
};

TEST_F(NamespaceTest, OneIdIsASessionInEach) {
  Make(In("default", "s"));
  Make(In("blue", "s"));
  Make(In("red", "s", Durability::kEphemeral));
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  EXPECT_EQ(LookAt("s").steps, 1u);
  EXPECT_EQ(LookAt("/blue/s").steps, 2u);
  EXPECT_EQ(LookAt("/red/s").steps, 1u);
}

TEST_F(NamespaceTest, MessagesNameASessionAsItsOwnerDoes) {
  const absl::Status missing = Do(Sending(1).To("/blue/none")).status();
  EXPECT_THAT(std::string(missing.message()), HasSubstr("no session 'none'"));
  EXPECT_EQ(DetailsOf(missing).metadata["session_id"], "none");
  Make(In("blue", "s"));
  const absl::Status exists = Create(In("blue", "s")).status();
  EXPECT_EQ(DetailsOf(exists).metadata["session_id"], "s");
  EXPECT_EQ(std::string(exists.message()).find("blue"), std::string::npos);
  const absl::Status mismatch = Do(Sending(1).To("/blue/s").AsStep(9)).status();
  EXPECT_EQ(DetailsOf(mismatch).metadata["session_id"], "s");
}

TEST_F(NamespaceTest, ListShowsItsOwn) {
  for (const std::string name_space : {"default", "blue", "blue2", "red"}) {
    for (const std::string id : {"a", "b", "c"}) {
      Make(In(name_space, id, id == "b" ? Durability::kEphemeral : Durability::kDurable));
    }
  }
  Sleep();
  EXPECT_THAT(ListOf("blue"), ElementsAre("/blue/a", "/blue/b", "/blue/c"));
  EXPECT_THAT(ListOf("default"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(ListOf("green"), IsEmpty());
  EXPECT_EQ(next_, "");
  EXPECT_THAT(ListOf("blue", 2), ElementsAre("/blue/a", "/blue/b"));
  EXPECT_THAT(ListOf("blue", 2, next_), ElementsAre("/blue/c"));
  EXPECT_EQ(next_, "");
}

TEST_F(NamespaceTest, APageTokenReachesIntoNoOther) {
  Make(In("blue", "a"));
  Make(In("red", "a"));
  ListQuery query;
  query.name_space = "blue";
  ASSERT_THAT(ListOf("blue", 1), ElementsAre("/blue/a"));
  query.page_token = MakePageToken("/re", FingerprintOf(query));  // as somebody could make it who knows how
  std::vector<std::string> ids;
  EXPECT_THAT(ListNow(query,
                      [&ids](const SessionInfo& info) {
                        ids.push_back(info.key.id);
                        return true;
                      }),
              IsOk());
  EXPECT_THAT(ids, IsEmpty());
  // One that was made in another namespace is none.
  ListQuery other;
  other.name_space = "red";
  other.page_token = MakePageToken("/blue/a", FingerprintOf(query));
  EXPECT_THAT(ListNow(other, [](const SessionInfo&) { return true; }), FailsWith(Reason::INVALID_PAGE_TOKEN));
}

TEST_F(NamespaceTest, AnIdThatIsMadeDependsOnWhoAsks) {
  const auto id_for = [this](const Owner& owner) {
    CreateSpec spec = PrimedSpec("echo", "");
    spec.owner = owner;
    spec.request_id = "r";
    const absl::StatusOr<Created> created = Create(spec);
    EXPECT_THAT(created, IsOk());
    return created->session->id();
  };
  EXPECT_EQ(id_for({}), NamedUuid("default\n\nr"));
  EXPECT_EQ(id_for({"blue", "ann"}), "/blue/" + NamedUuid("blue\nann\nr"));
  EXPECT_EQ(id_for({"blue", "bob"}), "/blue/" + NamedUuid("blue\nbob\nr"));
  EXPECT_EQ(id_for({"blue", "ann"}), "/blue/" + NamedUuid("blue\nann\nr")) << "sent again";
}

TEST_F(NamespaceTest, AnExportedFileIsOfNoNamespace) {
  Make(In("blue", "s"));
  ASSERT_THAT(Do(Sending(7).To("/blue/s")), IsOk());
  const absl::StatusOr<std::string> file = Export("/blue/s");
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->find("/blue/"), std::string::npos);
  const absl::StatusOr<SessionInfo> imported = Import(*file, "", "red");
  ASSERT_THAT(imported, IsOk());
  EXPECT_EQ(imported->key.id, "/red/s");
  EXPECT_EQ(imported->steps, 2u);
}

TEST_F(NamespaceTest, SessionsThatSleepAreOfTheirNamespace) {
  Make(In("blue", "s"));
  Sleep();
  CrashAndRestart();
  EXPECT_THAT(Do(Sending(3).To("/blue/s")), IsStep(2));
  EXPECT_THAT(Do(Sending(3).To("s")), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Do(Sending(3).To("/red/s")), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(NamespaceTest, HasNoMoreSessionsThanItMay) {
  Limit("blue", {.sessions = 2});
  Make(In("blue", "a"));
  Make(In("blue", "b", Durability::kEphemeral));
  for (const Durability durability : {Durability::kDurable, Durability::kEphemeral}) {
    const absl::Status refused = Create(In("blue", "c", durability)).status();
    EXPECT_THAT(refused, FailsWith(Reason::TOO_MANY_SESSIONS));
    EXPECT_EQ(DetailsOf(refused).metadata["max_sessions"], "2");
    EXPECT_GT(DetailsOf(refused).retry_delay, absl::ZeroDuration());
  }
  Make(In("red", "c"));  // others are not concerned
  ASSERT_THAT(Do(Deleting().To("/blue/a")), IsOk());
  Make(In("blue", "c"));
  EXPECT_THAT(Create(In("blue", "d")), FailsWith(Reason::TOO_MANY_SESSIONS));
  ASSERT_THAT(Do(Deleting().To("/blue/b")), IsOk());
  Make(In("blue", "d", Durability::kEphemeral));
}

TEST_F(NamespaceTest, SessionsAreCountedAcrossARestart) {
  Make(In("blue", "a"));
  Make(In("blue", "b"));
  CrashAndRestart();
  Limit("blue", {.sessions = 2});
  EXPECT_EQ(sessions_->SizeOf(sessions_->accounts().Of("blue")), 2u);
  EXPECT_EQ(sessions_->SizeOf(sessions_->accounts().Of("default")), 0u);
  EXPECT_THAT(Create(In("blue", "c")), FailsWith(Reason::TOO_MANY_SESSIONS));
}

TEST_F(NamespaceTest, ARefusedCreateIsNotCounted) {
  Limit("blue", {.sessions = 1});
  for (int i = 0; i < 3; ++i) {
    CreateSpec wrong = In("blue", "a");
    wrong.arguments = {{"none", Value(1)}};
    EXPECT_THAT(Create(wrong), FailsWith(Reason::INVALID_ARGUMENTS));
  }
  durable_journal_.Next(Fault::kLost);
  EXPECT_FALSE(Create(In("blue", "a")).ok());
  Make(In("blue", "b"));
}

TEST_F(NamespaceTest, HasNoMoreCommandsThanItMay) {
  Make(In("blue", "s", Durability::kEphemeral));
  Make(In("red", "s", Durability::kEphemeral));
  Limit("blue", {.commands_per_second = 10});
  for (int i = 0; i < 10; ++i) EXPECT_THAT(Do(Sending(i).To("/blue/s")), IsOk()) << i;
  const absl::Status refused = Do(Sending(1).To("/blue/s")).status();
  EXPECT_THAT(refused, FailsWith(Reason::RATE_LIMITED));
  EXPECT_EQ(DetailsOf(refused).metadata["executed"], "no");
  EXPECT_EQ(DetailsOf(refused).retry_delay, absl::Milliseconds(100));
  EXPECT_THAT(Do(Sending(1).To("/red/s")), IsOk());
  clock_.Advance(absl::Milliseconds(100));
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), FailsWith(Reason::RATE_LIMITED));
  clock_.Advance(absl::Seconds(100));  // no more than a second's worth is saved up
  for (int i = 0; i < 10; ++i) EXPECT_THAT(Do(Sending(i).To("/blue/s")), IsOk()) << i;
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), FailsWith(Reason::RATE_LIMITED));
}

TEST_F(NamespaceTest, AKnownRequestIdIsAnsweredWhateverTheRate) {
  Make(In("blue", "s"));
  ASSERT_THAT(Do(Sending(1).To("/blue/s").Id("r")), IsOk());
  Limit("blue", {.commands_per_second = 1});
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), FailsWith(Reason::RATE_LIMITED));
  const absl::StatusOr<Reply> again = Do(Sending(1).To("/blue/s").Id("r"));
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->replayed);
}

TEST_F(NamespaceTest, WhatTheServerDoesItselfIsNotLimited) {
  CreateSpec spec = In("blue", "s", Durability::kEphemeral);
  spec.idle_timeout = absl::Seconds(5);
  Make(spec);
  Limit("blue", {.commands_per_second = 1});
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  Pass(absl::Seconds(6));
  EXPECT_EQ(StateOf("/blue/s"), CoroutineState::kClosed);
}

TEST_F(NamespaceTest, LogsTakeNoMoreThanTheyMay) {
  Make(In("blue", "s"));
  Make(In("blue", "e", Durability::kEphemeral));
  Make(In("red", "s"));
  ASSERT_THAT(Do(Sending(1).To("/blue/s").Id("r")), IsOk());
  Limit("blue", {.journal_bytes = 1'000});
  durable_journal_.SetBytes(*sessions_->accounts().Of("blue").uid_group(), 999);
  Pass(absl::Seconds(2));
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  durable_journal_.SetBytes(*sessions_->accounts().Of("blue").uid_group(), 1'000);
  Pass(absl::Seconds(2));
  const absl::Status refused = Do(Sending(1).To("/blue/s")).status();
  EXPECT_THAT(refused, FailsWith(Reason::JOURNAL_LIMIT));
  EXPECT_EQ(DetailsOf(refused).metadata["max_journal_bytes"], "1000");
  EXPECT_GT(DetailsOf(refused).retry_delay, absl::ZeroDuration());
  EXPECT_THAT(Create(In("blue", "t")), FailsWith(Reason::JOURNAL_LIMIT));
  ForkSpec fork = Forking(std::nullopt, "/blue/f", "/blue/s");
  EXPECT_THAT(Fork(fork), FailsWith(Reason::JOURNAL_LIMIT));
  // What takes nothing, or makes room, goes on; and so do others.
  const absl::StatusOr<Reply> again = Do(Sending(1).To("/blue/s").Id("r"));
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->replayed);
  EXPECT_THAT(Do(Sending(1).To("/blue/e")), IsOk());
  EXPECT_THAT(Do(Sending(1).To("/red/s")), IsOk());
  EXPECT_THAT(Do(Closing().To("/blue/s")), IsOk());
  EXPECT_THAT(Do(Deleting().To("/blue/s")), IsOk());
  durable_journal_.SetBytes(*sessions_->accounts().Of("blue").uid_group(), 10);
  Pass(absl::Seconds(2));
  Make(In("blue", "t"));
}

TEST_F(NamespaceTest, DefaultHasWhatOthersLeave) {
  Make(In("default", "s"));
  Make(In("blue", "s"));
  Limit("default", {.journal_bytes = 1'000});
  durable_journal_.SetBytesOnDisk(5'000);
  durable_journal_.SetBytes(*sessions_->accounts().Of("blue").uid_group(), 4'500);
  Pass(absl::Seconds(2));
  EXPECT_THAT(Do(Sending(1).To("s")), IsOk());
  durable_journal_.SetBytes(*sessions_->accounts().Of("blue").uid_group(), 3'000);
  Pass(absl::Seconds(2));
  EXPECT_THAT(Do(Sending(1).To("s")), FailsWith(Reason::JOURNAL_LIMIT));
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
}

TEST_F(NamespaceTest, WhatANamespaceThatIsNotUsedHasIsNotThatOfDefault) {
  Make(In("default", "s"));
  Make(In("blue", "s"));
  Make(In("green", "s"));
  const std::uint32_t blue = *sessions_->accounts().Of("blue").uid_group();
  const std::uint32_t green = *sessions_->accounts().Of("green").uid_group();
  CrashAndRestart();
  Limit("default", {.journal_bytes = 1'000});
  durable_journal_.SetBytesOnDisk(5'000);
  durable_journal_.SetBytes(blue, 2'500);
  durable_journal_.SetBytes(green, 2'000);
  Pass(absl::Seconds(2));
  EXPECT_THAT(Do(Sending(1).To("s")), IsOk());
}

TEST_F(NamespaceTest, UidsOfANamespaceBeginAlike) {
  Make(In("blue", "a"));
  Make(In("blue", "b"));
  Make(In("red", "a"));
  const std::string a = LookAt("/blue/a").key.uid;
  const std::string b = LookAt("/blue/b").key.uid;
  EXPECT_EQ(a.substr(0, 8), b.substr(0, 8));
  EXPECT_NE(a, b);
  EXPECT_EQ(a[14], '8') << "a UUID of version 8";
  EXPECT_NE(LookAt("/red/a").key.uid.substr(0, 8), a.substr(0, 8));
}

TEST(AccountTest, HasNoMoreStreamsThanItMay) {
  metrics::Metrics metrics("1");
  Accounts accounts(metrics);
  Account& blue = accounts.Of("blue");
  accounts.SetLimits({{"blue", {.streams = 2}}}, {});
  EXPECT_THAT(blue.OpenStream(), IsOk());
  EXPECT_THAT(blue.OpenStream(), IsOk());
  EXPECT_THAT(blue.OpenStream(), FailsWith(Reason::TOO_MANY_STREAMS));
  blue.CloseStream();
  EXPECT_THAT(blue.OpenStream(), IsOk());
  EXPECT_EQ(blue.streams(), 2);
}

TEST(AccountTest, LimitsOfOthersAreForThoseWithoutTheirOwn) {
  metrics::Metrics metrics("1");
  Accounts accounts(metrics);
  Account& early = accounts.Of("early");
  accounts.SetLimits({{"blue", {.streams = 2}}}, {.streams = 1});
  for (Account* account : {&early, &accounts.Of("late")}) {
    EXPECT_THAT(account->OpenStream(), IsOk());
    EXPECT_THAT(account->OpenStream(), FailsWith(Reason::TOO_MANY_STREAMS));
  }
  EXPECT_THAT(accounts.Of("blue").OpenStream(), IsOk());
  EXPECT_THAT(accounts.Of("blue").OpenStream(), IsOk());
  accounts.SetLimits({}, {});  // as when the lines are gone from the file
  EXPECT_THAT(early.OpenStream(), IsOk());
}

}  // namespace
}  // namespace corod
