#include "server/catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "server/catalog/registration.h"

namespace corod {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

Coroutine Nothing() { co_return Value(); }

Definition Named(const std::string& name, std::uint32_t version = 1) {
  return Native(name, version, &Nothing).StopsWhen("it is resumed");
}

std::vector<std::string> NamesOf(const std::vector<const Definition*>& definitions) {
  std::vector<std::string> names;
  for (const Definition* definition : definitions) {
    names.push_back(definition->name + "@" + std::to_string(definition->version));
  }
  return names;
}

TEST(CatalogTest, VersionZeroFindsTheNewest) {
  Catalog catalog;
  catalog.Add(Named("a", 2));
  catalog.Add(Named("a", 10));
  catalog.Add(Named("a", 9));
  EXPECT_EQ(catalog.Find("a")->version, 10u);
  EXPECT_EQ(catalog.Find("a", 2)->version, 2u);
}

TEST(CatalogTest, UnknownNameOrVersionFindsNothing) {
  Catalog catalog;
  catalog.Add(Named("a", 2));
  EXPECT_EQ(catalog.Find("a", 1), nullptr);
  EXPECT_EQ(catalog.Find("b"), nullptr);
  EXPECT_EQ(catalog.Find(""), nullptr);
}

TEST(CatalogTest, FoundDefinitionStaysWhereItIs) {
  Catalog catalog;
  catalog.Add(Named("m"));
  const Definition* found = catalog.Find("m");
  for (int i = 0; i < 100; ++i) catalog.Add(Named("m" + std::to_string(i)));
  catalog.Add(Named("m", 2));
  EXPECT_EQ(catalog.Find("m", 1), found);
}

TEST(CatalogTest, ListGoesOnBehindTheNameGiven) {
  Catalog catalog;
  for (const char* name : {"c", "a", "b"}) catalog.Add(Named(name));
  catalog.Add(Named("b", 3));
  EXPECT_THAT(NamesOf(catalog.ListAfter("", 2)), ElementsAre("a@1", "b@3"));
  EXPECT_THAT(NamesOf(catalog.ListAfter("b", 2)), ElementsAre("c@1"));
  EXPECT_THAT(NamesOf(catalog.ListAfter("aa", 1)), ElementsAre("b@3"));
  EXPECT_THAT(NamesOf(catalog.ListAfter("c", 2)), IsEmpty());
  EXPECT_THAT(NamesOf(catalog.ListAfter("", 0)), IsEmpty());
  EXPECT_THAT(NamesOf(catalog.All()), ElementsAre("a@1", "b@1", "b@3", "c@1"));
}

TEST(CatalogTest, SameVersionTwiceIsRefusedAndTheFirstStays) {
  Catalog catalog;
  catalog.Add(Named("a"));
  Definition second = Named("a");
  second.summary = "another";
  EXPECT_THAT([&] { catalog.Add(second); },
              ThrowsMessage<std::invalid_argument>("coroutine 'a': version 1 is there already"));
  EXPECT_EQ(catalog.Find("a")->summary, "");
}

TEST(CatalogTest, RefusedDefinitionLeavesNothing) {
  Catalog catalog;
  EXPECT_THROW(catalog.Add(Named("a", 0)), std::invalid_argument);
  EXPECT_EQ(catalog.Find("a"), nullptr);
  EXPECT_THAT(catalog.ListAfter("", 10), IsEmpty());
}

TEST(CatalogTest, NameIsLettersDigitsAndUnderscores) {
  Catalog catalog;
  for (const char* name : {"", "1a", "_a", "a-b", "a b", "a.b", "\xc3\xa9"}) {
    EXPECT_THROW(catalog.Add(Named(name)), std::invalid_argument) << name;
  }
  catalog.Add(Named("aZ_9"));
}

TEST(CatalogTest, WhoDoesNotSayHowItStopsIsRefused) {
  Catalog catalog;
  EXPECT_THAT([&] { catalog.Add(Native("a", 1, &Nothing)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("stops_when")));
}

TEST(CatalogTest, RestartableWithoutRestartIsRefused) {
  Catalog catalog;
  Definition definition = Named("a");
  definition.restartable = true;
  EXPECT_THAT([&] { catalog.Add(definition); },
              ThrowsMessage<std::invalid_argument>("coroutine 'a': restartable must say whether there is `restart`"));
  definition.restartable = false;
  definition.restart = [](const std::vector<Value>&, const Value&, const CatalogView&) { return Nothing(); };
  EXPECT_THROW(catalog.Add(definition), std::invalid_argument);
}

TEST(CatalogTest, BuiltinsAreThere) {
  Catalog catalog;
  AddBuiltinCoroutines(catalog);
  EXPECT_THAT(NamesOf(catalog.ListAfter("", 100)),
              ElementsAre("averager@1", "batch@1", "csv_parser@1", "json_lines@1", "line_splitter@1", "pipeline@1",
                          "rolling_stats@1", "select@1", "sliding_window@1", "smtp_receiver@1", "token_counter@1"));
}

}  // namespace
}  // namespace corod
