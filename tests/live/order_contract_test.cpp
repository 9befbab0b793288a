// The order by compare-and-set of the volume's record keeps to the contract.
#include "contract/update_order_contract.hpp"

namespace contract {
namespace {

/// And nobody answers who asks again within the call.
void lose_next_answer(support::MemoryStorage& storage) {
    storage.lose_answer = [&storage](const base::Guid&) -> std::optional<base::Error> {
        storage.holders_up = 0;
        storage.lose_answer = nullptr;
        return base::Error{past::Errc::holders_unreachable};
    };
}

void answer_again(support::MemoryStorage& storage) { storage.holders_up = storage.holders; }

void refuse_next(support::MemoryStorage& storage) {
    storage.fail_put = [&storage](const std::vector<past::Block>&) -> std::optional<base::Error> {
        storage.fail_put = nullptr;
        return base::Error{past::Errc::no_space};
    };
}

const UpdateOrderKind kRecord{"RecordOrder", objstore::make_record_order, lose_next_answer, answer_again, refuse_next};

INSTANTIATE_TEST_SUITE_P(Orders, UpdateOrderContract, testing::Values(kRecord));

}  // namespace
}  // namespace contract
