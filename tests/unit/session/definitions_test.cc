// Definitions: how many versions there may be, of a namespace and of all, also after a restart.
#include "server/session/definitions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/journal/memory_journal.h"
#include "tests/unit/session/fakes.h"
#include "tests/unit/session/matchers.h"

namespace corod {
namespace {

class DefinitionsTest : public testing::Test {
 protected:
  DefinitionsTest() { Start(); }

  // A server, which finds in the journal what those before it left.
  void Start() {
    definitions_.reset();
    catalog_ = std::make_unique<Catalog>();
    definitions_ = std::make_unique<Definitions>(*catalog_, journal_, clock_, executor_, &Compiled);
    ASSERT_THAT(definitions_->Open(), IsOk());
  }
  static std::variant<Definition, std::string> Compiled(std::string_view name, std::uint32_t version,
                                                        std::string_view source, std::string_view documentation) {
    Definition definition;
    definition.name = std::string(name);
    definition.version = version;
    definition.language = Language::kLua;
    definition.source = std::string(source);
    definition.documentation = std::string(documentation);
    definition.stops_when = "never";
    definition.create = [](const std::vector<Value>&, const CatalogView&) -> Coroutine {
      throw std::logic_error("nobody makes one");
    };
    return definition;
  }
  // The version that it is then.
  absl::StatusOr<std::uint32_t> Define(const std::string& name_space, const std::string& name,
                                       const std::string& source, std::uint64_t most = 1'000'000) {
    absl::StatusOr<std::uint32_t> version = absl::InternalError("not answered");
    definitions_->Define(
        {.name_space = name_space, .name = name, .source = source, .documentation = {}, .most_versions = most},
        [&version](const absl::StatusOr<const Definition*>& defined) {
          version = defined.ok() ? absl::StatusOr<std::uint32_t>((*defined)->version) : defined.status();
        });
    executor_.RunAll();
    return version;
  }
  absl::Status Remove(const std::string& name_space, const std::string& name) {
    absl::Status status = absl::InternalError("not answered");
    definitions_->Remove(name_space, name, [&status](const absl::Status& removed) { status = removed; });
    executor_.RunAll();
    return status;
  }

  FakeClock clock_;
  ManualExecutor executor_;
  MemoryJournal journal_{executor_, MemoryJournal::Options{.durable = true}};
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Definitions> definitions_;
};

TEST_F(DefinitionsTest, ANamespaceMayHaveSoMany) {
  ASSERT_THAT(Define("team-a", "one", "1", 2), IsOk());
  ASSERT_THAT(Define("team-a", "one", "2", 2), IsOk());
  const absl::Status refused = Define("team-a", "other", "1", 2).status();
  EXPECT_THAT(refused, FailsWith(Reason::TOO_MANY_DEFINITIONS));
  EXPECT_EQ(DetailsOf(refused).metadata["namespace"], "team-a");
  EXPECT_EQ(DetailsOf(refused).metadata["max_definitions"], "2");
  EXPECT_EQ(*Define("team-a", "one", "2", 2), 2u) << "it is there already";
  EXPECT_EQ(*Define("team-b", "other", "1", 2), 1u) << "another namespace's do not count";
  EXPECT_EQ(*Define("team-a", "other", "1", 3), 1u) << "it may have more by now";
  EXPECT_THAT(Define("team-c", "one", "1", 0).status(), FailsWith(Reason::TOO_MANY_DEFINITIONS));
}

TEST_F(DefinitionsTest, ThoseOfDeletedNamesCountAlsoAfterARestart) {
  ASSERT_THAT(Define("team-a", "one", "1"), IsOk());
  ASSERT_THAT(Define("default", "two", "1"), IsOk());
  ASSERT_THAT(Remove("team-a", "one"), IsOk());
  EXPECT_THAT(Define("team-a", "one", "1", 1).status(), FailsWith(Reason::TOO_MANY_DEFINITIONS));
  Start();
  EXPECT_THAT(Define("team-a", "one", "1", 1).status(), FailsWith(Reason::TOO_MANY_DEFINITIONS));
  EXPECT_THAT(Define("default", "one", "1", 1).status(), FailsWith(Reason::TOO_MANY_DEFINITIONS));
  EXPECT_EQ(*Define("default", "two", "1", 1), 1u);
  EXPECT_EQ(*Define("team-a", "one", "1", 2), 2u);
}

TEST_F(DefinitionsTest, AllTogetherHaveALimitThatTellsNothingOfOthers) {
  for (std::size_t i = 0; i < Definitions::kMaxVersions; ++i) {
    ASSERT_THAT(Define(i % 2 == 0 ? "team-a" : "team-b", "one", std::to_string(i)), IsOk());
  }
  const absl::Status refused = Define("team-c", "one", "1", 10).status();
  EXPECT_THAT(refused, FailsWith(Reason::TOO_MANY_DEFINITIONS));
  EXPECT_EQ(DetailsOf(refused).metadata.count("namespace"), 0u);
  EXPECT_THAT(Define("team-c", "one", "1", 0).status(), FailsWith(Reason::TOO_MANY_DEFINITIONS));
}

}  // namespace
}  // namespace corod
