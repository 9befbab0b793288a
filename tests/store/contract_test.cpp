#include "contract/block_store_contract.hpp"

#include "contract/memory_block_store.hpp"
#include "past/segment_store.hpp"

namespace contract {
namespace {

base::Task<base::Result<std::unique_ptr<past::BlockStore>>> open_memory(base::NodeEnv) {
    std::unique_ptr<past::BlockStore> store = std::make_unique<MemoryBlockStore>();
    co_return store;
}

base::Task<base::Result<std::unique_ptr<past::BlockStore>>> open_segments(base::NodeEnv env) {
    past::SegmentStore::Config config;
    BASE_CO_TRY(auto store, co_await past::SegmentStore::open(env, config));
    co_return std::unique_ptr<past::BlockStore>{std::move(store)};
}

/// Everything rolls over all the time.
base::Task<base::Result<std::unique_ptr<past::BlockStore>>> open_tiny_segments(base::NodeEnv env) {
    past::SegmentStore::Config config;
    config.segment_bytes = 4096;
    config.checkpoint_bytes = 256;
    config.state_ahead_bytes = 512;
    config.open_files = 1;
    BASE_CO_TRY(auto store, co_await past::SegmentStore::open(env, config));
    co_return std::unique_ptr<past::BlockStore>{std::move(store)};
}

void damage_in_memory(past::BlockStore& store, base::sim::Node&, const past::Block& block) {
    dynamic_cast<MemoryBlockStore&>(store).damage(block.id);
}

/// Wherever the bytes lie on the disk.
void damage_on_disk(past::BlockStore&, base::sim::Node& node, const past::Block& block) {
    for (const auto& name : node.disk().files()) {
        const auto bytes = *node.disk().contents(name);
        const auto wanted = block.bytes.view();
        const auto found = std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
        if (found != bytes.end()) node.disk().flip_bit(name, static_cast<std::uint64_t>(found - bytes.begin()) + 9, 3);
    }
}

INSTANTIATE_TEST_SUITE_P(Memory, BlockStoreContract,
                         testing::Values(BlockStoreKind{"memory", open_memory, damage_in_memory, /*survives=*/false}));
INSTANTIATE_TEST_SUITE_P(Segments, BlockStoreContract,
                         testing::Values(BlockStoreKind{"segments", open_segments, damage_on_disk}));
INSTANTIATE_TEST_SUITE_P(TinySegments, BlockStoreContract,
                         testing::Values(BlockStoreKind{"tiny", open_tiny_segments, damage_on_disk}));

}  // namespace
}  // namespace contract
