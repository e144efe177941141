#include "server/auth/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/base/failure.h"

namespace corod {
namespace {

TEST(IdentityTest, RolesHaveNamesAndEachIncludesThoseBefore) {
  Role before = Role::kObserve;
  for (const char* const name : {"observe", "drive", "define", "admin"}) {
    const std::optional<Role> role = RoleNamed(name);
    ASSERT_TRUE(role.has_value()) << name;
    EXPECT_EQ(NameOf(*role), name);
    EXPECT_GE(*role, before) << name;
    before = *role;
  }
  EXPECT_EQ(before, Role::kAdmin);
}

TEST(IdentityTest, OtherRolesAreNone) {
  for (const char* const name : {"", "Admin", "admin ", "root", "observedrive"}) {
    EXPECT_EQ(RoleNamed(name), std::nullopt) << name;
  }
}

TEST(IdentityTest, NamespaceNames) {
  for (const std::string& name : {std::string("a"), std::string("0"), std::string("team-a"), std::string("a--b"),
                                  std::string(63, 'z'), std::string("default")}) {
    EXPECT_TRUE(IsNamespaceName(name)) << name;
  }
}

TEST(IdentityTest, WhatIsNoNamespaceName) {
  for (const std::string& name :
       {std::string(), std::string(64, 'z'), std::string("-a"), std::string("a-"), std::string("-"), std::string("A"),
        std::string("a.b"), std::string("a/b"), std::string("a b"), std::string("a\n"), std::string("a\0b", 3),
        std::string("\u00e4")}) {
    EXPECT_FALSE(IsNamespaceName(name)) << name;
  }
}

TEST(IdentityTest, ARefusalSaysWhatTheProblemIs) {
  const absl::Status status = RefuseCredentials("expired", "get a new one");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(IsFailure(status, Reason::CREDENTIALS_INVALID));
  EXPECT_THAT(DetailsOf(status).metadata, testing::Contains(testing::Pair("problem", "expired")));
}

}  // namespace
}  // namespace corod
