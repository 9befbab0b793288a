// The durable list of what lies elsewhere than it belongs.
#include "divert/ledger.hpp"

#include <gtest/gtest.h>

#include "base/sim/world.hpp"
#include "contract/blocks.hpp"
#include "contract/memory_block_store.hpp"

namespace contract {
namespace {

using past::Ledger;
using past::Tag;

const base::NodeId kNeighbour = guid_of("the neighbour");

TEST(LedgerTest, ThousandsOfEntriesComeBack) {
    base::sim::World world{1};
    auto& node = world.add_node();
    MemoryBlockStore records;
    Ledger ledger{node.env().executor, records, Ledger::Kind::pointers};
    Ledger::Entries entries;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        const Tag tag{guid_of("volume"), i};
        entries.emplace(block_of(i, 8).id, Ledger::Entry{guid_of(std::to_string(i % 7)), kNeighbour, 100, {tag}});
    }
    ASSERT_TRUE(*node.run(ledger.add(entries)));
    std::vector<base::Guid> gone;
    for (const auto& [id, entry] : entries) {
        if (gone.size() < 1234) gone.push_back(id);
    }
    ASSERT_TRUE(*node.run(ledger.erase(gone)));
    Ledger again{node.env().executor, records, Ledger::Kind::pointers};
    again.load();
    EXPECT_EQ(again.blocks(), 5000U - 1234U);
    EXPECT_EQ(again.by_group(), ledger.by_group());
    EXPECT_EQ(again.total(guid_of("3")).digest, ledger.total(guid_of("3")).digest);
    Ledger diverted_replicas{node.env().executor, records, Ledger::Kind::diverted_replicas};
    diverted_replicas.load();
    EXPECT_TRUE(diverted_replicas.empty()) << "the lists do not mix";
}

class LedgerThatCannotWrite : public testing::Test {
  protected:
    LedgerThatCannotWrite() { EXPECT_TRUE(add({{guid_of("a"), entry_of(1)}})); }
    base::Result<void> add(Ledger::Entries entries) { return *node_.run(ledger_.add(std::move(entries))); }
    static Ledger::Entry entry_of(std::uint64_t generation) {
        return {guid_of("place"), kNeighbour, 9, {Tag{guid_of("volume"), generation}}};
    }
    Ledger::Entries on_disk() {
        Ledger again{node_.env().executor, records_, Ledger::Kind::pointers};
        again.load();
        return again.of_node(kNeighbour);
    }
    base::sim::World world_{1};
    base::sim::Node& node_ = world_.add_node();
    MemoryBlockStore records_;
    Ledger ledger_{node_.env().executor, records_, Ledger::Kind::pointers};
};

TEST_F(LedgerThatCannotWrite, KeepsWhatItHadListed) {
    records_.refuse_a_record_after(0);
    EXPECT_EQ(add({{guid_of("a"), entry_of(2)}, {guid_of("b"), entry_of(2)}}).error(), past::Errc::no_space);
    const Ledger::Entries before{{guid_of("a"), entry_of(1)}};
    EXPECT_EQ(ledger_.of_node(kNeighbour), before);
    EXPECT_EQ(on_disk(), before);
    ASSERT_TRUE(add({{guid_of("b"), entry_of(2)}})) << "there is room again";
    EXPECT_EQ(on_disk(), ledger_.of_node(kNeighbour));
}

TEST_F(LedgerThatCannotWrite, UndoesNoChangeThatAnotherMadeMeanwhile) {
    records_.refuse_a_record_after(1);
    records_.before_a_record = [&]() -> base::Task<void> {
        Ledger::Entries entries;
        entries.emplace(guid_of("a"), entry_of(3));
        EXPECT_TRUE(co_await ledger_.add(std::move(entries)));
    };
    EXPECT_FALSE(add({{guid_of("a"), entry_of(2)}}));
    const Ledger::Entries after{{guid_of("a"), entry_of(3)}};
    EXPECT_EQ(ledger_.of_node(kNeighbour), after);
    records_.refuse_a_record_after(1);
    records_.before_a_record = [&]() -> base::Task<void> {
        EXPECT_TRUE(co_await ledger_.erase(std::vector<base::Guid>(1, guid_of("a"))));
    };
    EXPECT_FALSE(add({{guid_of("a"), entry_of(4)}}));
    EXPECT_TRUE(ledger_.empty());
    EXPECT_EQ(on_disk(), ledger_.of_node(kNeighbour));
}

TEST(LedgerTest, ASlotThatDoesNotParseIsPassedOver) {
    Ledger::Entries entries;
    entries.emplace(guid_of("a"), Ledger::Entry{guid_of("place"), kNeighbour, 9, {Tag{guid_of("v"), 1}}});
    entries.emplace(guid_of("b"), Ledger::Entry{guid_of("place"), kNeighbour, 9, {Tag{guid_of("v"), 2}}});
    const auto bytes = Ledger::encode_slot(Ledger::Kind::pointers, 7, entries);
    const auto back = Ledger::decode_slot(Ledger::Kind::pointers, bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->first, 7U);
    EXPECT_EQ(back->second, entries);
    EXPECT_FALSE(Ledger::decode_slot(Ledger::Kind::diverted_replicas, bytes));
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(Ledger::decode_slot(Ledger::Kind::pointers, base::ByteView{bytes}.first(length)));
    }
    auto many = bytes;
    many[5] = 0xFF;  // the count
    EXPECT_FALSE(Ledger::decode_slot(Ledger::Kind::pointers, many));
}

}  // namespace
}  // namespace contract
