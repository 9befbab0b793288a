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

INSTANTIATE_TEST_SUITE_P(Memory, BlockStoreContract,
                         testing::Values(BlockStoreKind{"memory", open_memory, /*survives=*/false}));
INSTANTIATE_TEST_SUITE_P(Segments, BlockStoreContract, testing::Values(BlockStoreKind{"segments", open_segments}));
INSTANTIATE_TEST_SUITE_P(TinySegments, BlockStoreContract, testing::Values(BlockStoreKind{"tiny", open_tiny_segments}));

}  // namespace
}  // namespace contract
