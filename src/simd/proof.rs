//! Kernels as methods of the proof that they may be called.
#![allow(unsafe_code)]

/// Makes the kernels of a module methods of a type that exists only where their features do.
macro_rules! kernels {
    ($proof:ty, $module:ident) => {
        kernels! { $proof, $module,
            base64_decode(text: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize);
            base64_encode(data: &[u8], out: &mut [MaybeUninit<u8>]) -> (usize, usize);
            widen(utf8: &[u8], out: &mut [MaybeUninit<u16>]) -> Option<$crate::simd::Widened>;
            widen4(utf8: &[u8], out: &mut [MaybeUninit<u32>]) -> Option<$crate::simd::Widened>;
            narrow1(units: &[u8], out: &mut [MaybeUninit<u8>]) -> Option<usize>;
            narrow(units: &[u16], out: &mut [MaybeUninit<u8>]) -> Option<usize>;
            narrow4(units: &[u32], out: &mut [MaybeUninit<u8>]) -> Option<usize>;
            json_plain(bytes: &[u8]) -> usize;
            json_escape(text: &[u8], len: usize, out: &mut Vec<u8>) -> ();
        }
    };
    (
        $proof:ty, $module:ident,
        $($kernel:ident($($name:ident: $type:ty),*) -> $made:ty;)*
    ) => {
        impl $proof {
            $(
                #[inline]
                pub(super) fn $kernel(self, $($name: $type),*) -> $made {
                    // SAFETY: a value of this type exists only where the features do.
                    unsafe { $module::$kernel($($name),*) }
                }
            )*
        }
    };
}
