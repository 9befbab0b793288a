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

const BlockStoreKind kMemory{"memory", open_memory, damage_in_memory, /*survives=*/false};
const BlockStoreKind kSegments{"segments", open_segments, damage_on_disk};
const BlockStoreKind kTinySegments{"tiny", open_tiny_segments, damage_on_disk};

INSTANTIATE_TEST_SUITE_P(Stores, BlockStoreContract, testing::Values(kMemory, kSegments, kTinySegments));
INSTANTIATE_TEST_SUITE_P(Stores, DamagedBlockContract, testing::Values(kMemory, kSegments, kTinySegments));

}  // namespace
}  // namespace contract
