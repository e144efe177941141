#include "server/rpc/drive_lanes.h"

#include <gtest/gtest.h>

#include <string>

#include "server/base/uuid.h"

namespace corod::rpc {
namespace {

using Key = DriveLane::Key;

TEST(DriveLanesTest, FindsWhatWasAdded) {
  DriveLanes lanes;
  EXPECT_TRUE(lanes.empty());
  const std::string long_id(100, 'x');
  for (const std::string& id : {std::string(), std::string("a"), std::string("b"), MakeUuid(1, 2), long_id}) {
    EXPECT_EQ(lanes.Find(Key(id)), nullptr);
    DriveLane& lane = lanes.FindOrAdd(id, Key(id));
    EXPECT_EQ(lane.id.str(), id);
    EXPECT_EQ(lanes.Find(Key(std::string(id))), &lane);
    EXPECT_EQ(&lanes.FindOrAdd(id, Key(id)), &lane);
  }
  EXPECT_EQ(lanes.size(), 5u);
}

TEST(DriveLanesTest, LaneStaysWhereItIs) {
  DriveLanes lanes;
  const DriveLane* const first = &lanes.FindOrAdd("first", Key("first"));
  for (int i = 0; i < 5'000; ++i) lanes.FindOrAdd(std::to_string(i), Key(std::to_string(i)));
  EXPECT_EQ(lanes.Find(Key("first")), first);
}

TEST(DriveLanesTest, OnlyWhatIsIdleIsForgotten) {
  DriveLanes lanes;
  const auto add = [&lanes](const char* id) -> DriveLane& { return lanes.FindOrAdd(id, Key(id)); };
  add("idle");
  add("open").open = 1;
  add("failed").failed = true;
  add("handing over").handing_over = true;
  lanes.ForgetIdle();
  EXPECT_EQ(lanes.size(), 3u);
  EXPECT_EQ(lanes.Find(Key("idle")), nullptr);
  add("open").open = 0;
  add("failed").failed = false;
  add("handing over").handing_over = false;
  lanes.ForgetIdle();
  EXPECT_TRUE(lanes.empty());
}

TEST(DriveLanesTest, WhatIsNotIdleIsNotLookedThroughAgainAndAgain) {
  DriveLanes lanes;
  int added = 0;
  const auto fill = [&] {
    while (!lanes.IsFull()) {
      const std::string id = std::to_string(added++);
      lanes.FindOrAdd(id, Key(id)).open = 1;
    }
  };
  fill();
  const int before = added;
  lanes.ForgetIdle();
  EXPECT_FALSE(lanes.IsFull());
  fill();
  EXPECT_GE(added, 2 * before);
}

}  // namespace
}  // namespace corod::rpc
