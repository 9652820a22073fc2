//! Tests of indexing by `x.i(…)` and of writing by `x.set(…)`.

use super::*;

fn counted(shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>() as i64;
    Tensor::from_slice(&(0..n).collect::<Vec<i64>>(), shape).unwrap()
}

fn values(t: &Tensor) -> Vec<i64> {
    t.to_vec().unwrap()
}

#[test]
fn numbers_ranges_and_axes_give_views() {
    let x = counted(&[2, 3, 4]);
    assert_eq!(values(&x.i(-1).unwrap())[..3], [12, 13, 14]);
    assert_eq!(values(&x.i((1, 0..2, -2..)).unwrap()), [14, 15, 18, 19]);
    assert_eq!(values(&x.i((.., 0)).unwrap()), [0, 4, 8, 12, 16, 20]);
    assert_eq!(values(&x.i((.., 1, ..)).unwrap()), [4, 5, 6, 7, 16, 17, 18, 19]);
    assert_eq!(values(&x.i((0, 0, step(.., 3))).unwrap()), [0, 3]);
    assert_eq!(values(&x.i((0usize, 0i64, step(0..=2, 2))).unwrap()), [0, 2]);
    assert_eq!(x.i((0.., None, .., None)).unwrap().shape(), [2, 1, 3, 4, 1]);
    assert_eq!(x.i((..=-1, ..-1)).unwrap().shape(), [2, 2, 4]);
    assert!(x.i((0, 1..)).unwrap().shares_memory(&x));
    assert!(x.t().is_err());
    let turned = x.permute([2, 1, 0]).unwrap();
    assert_eq!(values(&turned.i((1, .., 1)).unwrap()), [13, 17, 21]);
    assert_eq!(
        x.i(vec![Index::At(0), Index::NewAxis]).unwrap().shape(),
        [1, 3, 4]
    );
}

#[test]
fn tensors_pick_and_their_dimensions_go_where_pytorch_puts_them() {
    let x = counted(&[2, 3, 4]);
    let i = Tensor::new([0i64, 1]).unwrap();
    assert_eq!(x.i((0, 0.., &i)).unwrap().shape(), [3, 2]);
    assert_eq!(x.i((&i, 0.., &i)).unwrap().shape(), [2, 3]);
    assert_eq!(values(&x.i((&i, 0.., &i)).unwrap()), [0, 4, 8, 13, 17, 21]);
    assert_eq!(x.i((0.., &i, None, &i)).unwrap().shape(), [2, 2, 1]);
    assert_eq!(x.i((None, &i, 0)).unwrap().shape(), [1, 2, 4]);
    assert_eq!(values(&x.i((.., [-1, 0])).unwrap())[..4], [3, 0, 7, 4]);
    let column = i.unsqueeze(1).unwrap();
    assert_eq!(x.i((&column, &i)).unwrap().shape(), [2, 2, 4]);
    let mask = Tensor::new([[true, false, true], [false, false, true]]).unwrap();
    assert_eq!(x.i(&mask).unwrap().shape(), [3, 4]);
    assert_eq!(values(&x.i((&mask, 0)).unwrap()), [0, 8, 20]);
    assert_eq!(x.i(true).unwrap().shape(), [1, 2, 3, 4]);
    assert_eq!(x.i((0, false)).unwrap().shape(), [0, 3, 4]);
    assert_eq!(x.i([false, true]).unwrap().shape(), [1, 3, 4]);
}

#[test]
fn values_are_set_in_place() {
    let x = counted(&[2, 3]);
    let before = x.detach();
    x.set((0, 1..), -1).unwrap();
    assert_eq!(values(&x), [0, -1, -1, 3, 4, 5]);
    assert_eq!(values(&before), [0, 1, 2, 3, 4, 5]);
    x.set((.., [2, 0]), &Tensor::new([[7i64, 8]]).unwrap()).unwrap();
    assert_eq!(values(&x), [8, -1, 7, 8, 4, 7]);
    let mask = Tensor::new([[true, false, false], [false, true, true]]).unwrap();
    x.set(&mask, 0.9).unwrap();
    assert_eq!(values(&x), [0, -1, 7, 8, 0, 0]);
    x.set((1, [0, 1]), &Tensor::new([[5i64, 6]]).unwrap()).unwrap();
    assert_eq!(values(&x), [0, -1, 7, 5, 6, 0]);
    let error = x
        .set(0, &Tensor::new([1i64, 2]).unwrap())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "set: a value [2] does not broadcast to [3]");
}

#[test]
fn values_are_put_by_tensors() {
    let x = Tensor::zeros((2, 3), DType::F32).unwrap();
    let index = Tensor::new([1i64, 1]).unwrap();
    let ones = Tensor::ones(2, DType::F32).unwrap();
    let y = x.index_put(&[Some(&index), Some(&index)], &ones, true).unwrap();
    assert_eq!(y.i((1, 1)).unwrap().item::<f32>().unwrap(), 2.0);
    let y = x.index_put(&[None, Some(&index)], &ones, false).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn wrong_indices_are_errors() {
    let x = counted(&[2, 3]);
    assert!(
        x.i(2)
            .unwrap_err()
            .to_string()
            .contains("index 2 is out of range")
    );
    assert!(
        x.i((0, 0, 0))
            .unwrap_err()
            .to_string()
            .contains("3 dimensions are indexed")
    );
    assert!(x.i(Tensor::new([2i64]).unwrap()).is_err());
    assert!(x.i(Tensor::new([0.5f32]).unwrap()).is_err());
    assert!(x.i([true]).unwrap_err().to_string().contains("a mask [1]"));
    assert!(x.i(step(.., 0)).is_err());
}
